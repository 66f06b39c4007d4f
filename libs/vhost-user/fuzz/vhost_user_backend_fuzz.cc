// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Plays a front end's half of a conversation: bytes in chunks, each with some descriptors. Whatever
// comes: the session ends each step, touches memory only where it was checked, and no descriptor
// stays open. Regions, logs and inflight memory are made of what is parsed.

#include <sys/socket.h>

#include <array>
#include <optional>

#include "fuzz_input.h"
#include "open_fds.h"
#include "vmm/sys_util/fd_passing.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/vhost_user/backend_session.h"
#include "vmm/vhost_user/dirty_log.h"
#include "vmm/vhost_user/inflight_memory.h"
#include "vmm/vhost_user/memory_table.h"

namespace {

using namespace vmm;
using namespace vmm::vhost_user;

class Handler final : public BackendHandler {
 public:
  std::uint64_t features() const override { return ~std::uint64_t{0}; }
  std::uint64_t protocol_features() const override {
    return ((std::uint64_t{1} << 22) - 1) | bit(ProtocolFeature::kPrivateShmem);
  }
  std::uint32_t queue_count() const override { return 4; }
  Result<Reply> handle(FrontendRequest& request) override {
    return std::visit([this](auto& one) { return on(one); }, request);
  }

 private:
  template <class Request>
  Result<Reply> on(Request&) {
    return Reply::done();
  }
  Result<Reply> on(request::SetMemTable& table) {
    VMM_TRY_DO(table_.set(table.regions));
    touch();
    return Reply::done();
  }
  Result<Reply> on(request::AddMemReg& add) {
    VMM_TRY_DO(table_.add(add.file));
    touch();
    return Reply::done();
  }
  Result<Reply> on(request::RemMemReg& remove) {
    VMM_TRY_DO(table_.remove(remove.region));
    return Reply::done();
  }
  Result<Reply> on(request::GetShmemConfig&) {
    ShmemConfig config;
    config.bytes.fill(4096);
    return Reply::with(config);
  }
  Result<Reply> on(request::CreateCryptoSession& session) {
    require(crypto_session_number_at(session.session.size()) + 8 <= session.session.size());
    return Reply::done();
  }
  Result<Reply> on(request::SetVringAddr& rings) {
    const auto at = table_.to_guest(rings.addresses.descriptors, 16);
    if (at) require(table_.memory().view().check_range(*at, 16));
    return Reply::done();
  }
  Result<Reply> on(request::SetLogBase& base) {
    VMM_TRY(const DirtyLog log, DirtyLog::map(base.area, base.fd));
    VMM_TRY_DO(table_.track_writes(true));
    touch();
    log.collect(*table_.memory().snapshot());
    return Reply::done();
  }
  Result<Reply> on(request::SetInflightFd& inflight) {
    VMM_TRY(const auto memory, InflightMemory::open(inflight.area, std::move(inflight.fd), false));
    for (std::uint32_t i = 0; i < inflight.area.queue_count; ++i) {
      const auto slice = memory.queue(i);
      require(slice.has_value());
      slice->store<std::uint8_t>(1, slice->size() - 1);
    }
    return Reply::done();
  }

  // The last byte of each region.
  void touch() {
    const auto map = table_.memory().snapshot();
    for (const auto& region : map->regions()) {
      const std::byte byte{1};
      require(map->view().write_bytes(region->last_address(), std::span(&byte, 1)).has_value());
    }
  }

  MemoryTable table_;
};

void play(Input& input, int file) {
  std::array<int, 2> ends{};
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  const UniqueFd peer(ends[0]);
  Handler handler;
  BackendSession session(*Connection::adopt(UniqueFd(ends[1])), handler);
  const std::vector<int> fds(40, file);
  std::array<std::byte, 8192> answers;
  for (int step = 0; step < 64 && !input.empty(); ++step) {
    const std::size_t fd_count = input.byte() % fds.size();
    const auto chunk = input.bytes(input.byte() + 1u);
    if (!sys_util::send_with_fds(peer.get(), chunk, std::span(fds).first(fd_count))) return;
    for (bool more = true; more;) {
      const auto event = session.serve();
      if (!event) return;
      more = *event == Connection::Event::kMessage;
      while (::recv(peer.get(), answers.data(), answers.size(), MSG_DONTWAIT) > 0) continue;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto file = sys_util::MemFd::create(1 << 20);
  require(file.has_value());
  const std::size_t before = open_fds();
  Input input(data, size);
  play(input, file->fd());
  require(open_fds() == before);
  return 0;
}

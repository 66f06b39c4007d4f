// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Plays a front end's half of a conversation: bytes in chunks, each with some descriptors. Whatever
// comes: the session ends each step, touches memory only where it was checked, and no descriptor
// stays open. Regions, logs and inflight memory are made of what is parsed.

#include <optional>
#include <utility>
#include <vector>

#include "fuzz_fds.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/sys_util/unix_socket.h"
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
  auto [peer, ours] = *sys_util::unix_socket_pair();
  Handler handler;
  BackendSession session(*Connection::adopt(std::move(ours)), handler);
  const std::vector<int> fds(40, file);
  for (int step = 0; step < 64 && !input.empty(); ++step) {
    if (!send_chunk(peer, input, fds)) return;
    for (bool more = true; more;) {
      const auto event = session.serve();
      if (!event) return;
      more = *event == Connection::Event::kMessage;
      drop_answers(peer);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto file = sys_util::MemFd::create(1 << 20);
  require(file.has_value());
  return leaving_no_fds(data, size, [](Input& input) { play(input, file->fd()); });
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A RemoteDevice and a back end that does one thing at a time: who waits for whom.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <thread>

#include "fd_pairs.h"
#include "remote_rig.h"
#include "soon.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/vhost_user/backend_channel.h"
#include "vmm/vhost_user/backend_session.h"
#include "vmm/virtio_device/features.h"

namespace {

using namespace vmm;
using vhost_user::BackendCode;
using vhost_user::Connection;
using vhost_user::Header;
using vhost_user::ProtocolFeature;
using vhost_user::Reply;
using vhost_user_frontend::RemoteDevice;
using vhost_user_frontend::RemoteOptions;
namespace request = vhost_user::request;

constexpr std::uint64_t kWindow = 1 << 20;
constexpr std::size_t kConfigBytes = 12;

struct Slot final : vhost_user_frontend::WindowSlot {
  Result<void> show(std::span<std::byte>, const GuestAddress*) override { return {}; }
};

/// A back end of one thread, which does something of its own after it was started.
class SingleThread final : public vhost_user::BackendHandler {
 public:
  ~SingleThread() {
    over_ = true;
    if (thread_.joinable()) thread_.join();
  }
  UniqueFd connect() {
    auto ends = socket_pair();
    thread_ = std::thread([this, fd = ends.second.release()] { serve(UniqueFd(fd)); });
    return std::move(ends.first);
  }
  std::uint64_t features() const override { return virtio_device::kFeatureVersion1; }
  std::uint64_t protocol_features() const override {
    std::uint64_t all = 0;
    for (const ProtocolFeature one :
         {ProtocolFeature::kReplyAck, ProtocolFeature::kBackendReq, ProtocolFeature::kConfig,
          ProtocolFeature::kStatus, ProtocolFeature::kShmem, ProtocolFeature::kBackendSendFd}) {
      all |= bit(one);
    }
    return all;
  }
  std::uint32_t queue_count() const override { return 1; }
  Result<Reply> handle(vhost_user::FrontendRequest& asked) override {
    if (auto* const channel = std::get_if<request::SetBackendReqFd>(&asked)) {
      channel_ = std::move(channel->fd);
    }
    if (const auto* const chosen = std::get_if<request::SetProtocolFeatures>(&asked)) {
      agreed = chosen->features;
    }
    if (const auto* const status = std::get_if<request::SetStatus>(&asked)) {
      started_ = status->status == 15;
    }
    if (const auto* const part = std::get_if<request::GetConfig>(&asked)) {
      if (part->part.offset + part->part.bytes > kConfigBytes) {
        return fail(vhost_user::MessageError::kBadRange);
      }
      Reply reply = Reply::with(part->part);
      reply.payload.resize(reply.payload.size() + part->part.bytes, config);
      return reply;
    }
    if (std::holds_alternative<request::GetShmemConfig>(asked)) {
      vhost_user::ShmemConfig shmem{.count = 1};
      shmem.bytes[0] = kWindow;
      return Reply::with(shmem);
    }
    if (std::holds_alternative<request::GetVringBase>(asked)) {
      if (when_stopped) well = std::exchange(when_stopped, nullptr)();
      return Reply::with(vhost_user::VringState{});
    }
    return Reply::done();
  }

  /// CONFIG_CHANGE_MSG on the channel, and whether it is acknowledged meanwhile.
  bool tell_of_config() {
    const Header header{.request = static_cast<std::uint32_t>(BackendCode::kConfigChange),
                        .flags = vhost_user::kVersion | vhost_user::kNeedReply,
                        .size = 0};
    config = std::byte{7};
    if (::write(channel_.get(), &header, sizeof(header)) != ssize_t{sizeof(header)}) return false;
    std::array<std::byte, sizeof(header) + 8> answer{};
    return is_readable(channel_.get(), 30'000) &&
           ::read(channel_.get(), answer.data(), answer.size()) ==
               static_cast<ssize_t>(answer.size());
  }

  /// Maps a file, and whether that is acknowledged meanwhile.
  bool map_file() {
    vhost_user::BackendChannel channel(
        *Connection::adopt(UniqueFd(::fcntl(channel_.get(), F_DUPFD_CLOEXEC, 0))), agreed);
    return channel.map_shmem({.bytes = 4096}, file_.fd()).has_value();
  }

  std::function<bool()> when_started;
  std::function<bool()> when_stopped;
  std::atomic<bool> done{false};  // it returned
  std::atomic<bool> well{false};  // and what
  std::atomic<std::uint64_t> agreed{0};
  std::byte config{1};

 private:
  static bool is_readable(int fd, int patience_ms) {
    pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&one, 1, patience_ms) == 1;
  }
  void serve(UniqueFd socket) {
    vhost_user::BackendSession session(*Connection::adopt(std::move(socket)), *this);
    while (!over_) {
      if (!is_readable(session.fd(), 10)) continue;
      const auto event = session.serve();
      if (!event || *event == Connection::Event::kClosed) return;
      if (!started_ || !when_started) continue;
      well = std::exchange(when_started, nullptr)();
      done = true;
    }
  }

  std::atomic<bool> over_{false};
  std::thread thread_;
  UniqueFd channel_;
  sys_util::MemFd file_ = *sys_util::MemFd::create(4096);
  bool started_ = false;
};

struct Machine : vhost_user_frontend::RemoteRig {
  explicit Machine(SingleThread& back_end) {
    put_in(RemoteDevice::create(
        {.queue_sizes = {16},
         .config = std::vector<std::byte>(kConfigBytes),
         .window = RemoteOptions::Window{.bytes = 0, .slot = std::make_shared<Slot>()},
         .resumable = false},
        [&]() -> Result<UniqueFd> { return back_end.connect(); }));
  }
  void start() {
    negotiate(virtio_device::kFeatureVersion1);
    virtio_queue::QueueConfig* const queue = core->editable_queue(0);
    REQUIRE(queue != nullptr);
    REQUIRE(queue->set_size(16));
    REQUIRE(queue->set_descriptors(GuestAddress(0x1'0000)));
    REQUIRE(queue->set_driver(GuestAddress(0x1'1000)));
    REQUIRE(queue->set_device(GuestAddress(0x1'2000)));
    core->enable_queue(0);
    core->set_status(15);
  }
};

TEST_CASE("a change of the configuration is acknowledged before anybody asks for it", "[order]") {
  SingleThread back_end;
  back_end.when_started = [&] { return back_end.tell_of_config(); };
  Machine machine(back_end);
  machine.start();
  REQUIRE(soon([&] { return back_end.done.load(); }));
  CHECK(back_end.well);
  CHECK(soon([&] { return machine.sink.config == 1; }));
  std::array<std::byte, 1> read{};
  machine.core->read_config(0, read);
  CHECK(read[0] == std::byte{7});
  CHECK(machine.core->status() == 15);
}

TEST_CASE("a back end that has something to map is stopped all the same", "[order]") {
  SingleThread back_end;
  back_end.when_stopped = [&] { return back_end.map_file(); };
  Machine machine(back_end);
  machine.start();
  REQUIRE(machine.core->status() == 15);
  machine.core->set_status(0);
  CHECK(back_end.well);
}

TEST_CASE("who maps files of a back end agrees that it sends them", "[order]") {
  SingleThread back_end;
  Machine machine(back_end);
  CHECK((back_end.agreed & bit(ProtocolFeature::kShmem)) != 0);
  CHECK((back_end.agreed & bit(ProtocolFeature::kBackendSendFd)) != 0);
}

}  // namespace

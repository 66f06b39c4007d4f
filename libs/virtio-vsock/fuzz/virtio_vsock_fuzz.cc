// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Scripts of packets of a guest and of what programs of the host do. Whatever they say: each step
// ends, what comes back to the guest is a packet as the specification has it and fits its buffer,
// each packet of the guest comes back, what it sends reaches programs without a gap, what programs
// send reaches it in order and as far as it has room (guest_watch.h), and after a reset the device
// can be set up again. In double-fetch mode (bit 4 of the first byte, second_agent.h) what comes
// over is not looked at.

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "fuzz_input.h"
#include "guarded_ram.h"
#include "guest_watch.h"
#include "second_agent.h"
#include "vmm/sys_util/temp_directory.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_vsock/vsock.h"

namespace {

using namespace vmm;
using namespace vmm::virtio_vsock;
using virtio_device::testing::Bytes;
using virtio_device::testing::bytes_of;
using virtio_device::testing::DeviceRig;

constexpr std::uint64_t kCid = 3;
constexpr std::uint32_t kPorts = 4;  // of the guest, and of the host
constexpr std::uint16_t kRx = 0, kTx = 1, kEvent = 2;

UniqueFd make_socket(int type) {
  return UniqueFd(::socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

template <class Call>
void with_address(const std::string& path, Call&& call) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof(address.sun_path) - 1));
  (void)call(reinterpret_cast<const sockaddr*>(&address), socklen_t{sizeof(address)});
}

/// What comes out of a program's socket: perhaps the line that a client gets, then bytes of which
/// each is one more than the one before.
class Stream {
 public:
  explicit Stream(bool has_line = false) : in_line_(has_line) {}

  void came(std::span<const char> bytes) {
    for (const char c : bytes) {
      const auto byte = static_cast<std::uint8_t>(c);
      if (in_line_) {
        in_line_ = byte != '\n';
        continue;
      }
      require(!next_ || *next_ == byte);
      next_ = static_cast<std::uint8_t>(byte + 1);
    }
  }

 private:
  bool in_line_;
  std::optional<std::uint8_t> next_;
};

/// The programs of the host: one listener of each type, and the sockets they have.
class Host {
 public:
  bool is_known = true;    ///< the guest sends nothing but what Stream expects
  bool says_known = true;  ///< it gets nothing but what HostBytes has

  Host(std::string path, HostBytes& bytes) : path_(std::move(path)), bytes_(bytes) {
    listeners_[0] = listen("_0", SOCK_STREAM, 1);
    listeners_[1] = listen("_1", SOCK_SEQPACKET, 16);
  }

  void act(Input& script) {
    const std::uint8_t what = script.byte();
    const std::size_t which = script.byte() % kSockets;
    UniqueFd& socket = sockets_[which];
    switch (what % 8) {
      case 0:
        socket = make_socket(SOCK_STREAM);
        streams_[which] = Stream(true);
        says_[which] = {.state = Says::kLine, .number = bytes_.add()};
        return with_address(path_, [&](const sockaddr* at, socklen_t bytes) {
          return ::connect(socket.get(), at, bytes);
        });
      case 1:
        socket.reset(::accept4(listeners_[what / 8 % 2].get(), nullptr, nullptr,
                               SOCK_NONBLOCK | SOCK_CLOEXEC));
        streams_[which] = Stream();
        says_[which] = {
            .state = Says::kData, .number = bytes_.add(), .has_messages = what / 8 % 2 != 0};
        return;
      case 2:
        return say(which, "CONNECT " + std::to_string(script.byte() % kPorts) + "\n", true);
      case 3:
        return say(which, std::string(script.text(script.byte())));
      case 4:
        return say(which, std::string(script.take<std::uint16_t>(), 'x'));
      case 5:
        return read(which);
      case 6:
        (void)::shutdown(socket.get(), what / 8 % 3);
        return;
      default:
        socket.reset();
    }
  }

 private:
  static constexpr std::size_t kSockets = 4;
  /// What a program has said by its socket.
  struct Says {
    enum State : std::uint8_t { kLine, kData, kNoLine };  // kLine: is still to say it
    State state = kNoLine;
    std::uint8_t number = 0;
    bool has_messages = false;
  };

  UniqueFd listen(const char* suffix, int type, int backlog) {
    UniqueFd fd = make_socket(type);
    with_address(path_ + suffix,
                 [&](const sockaddr* at, socklen_t bytes) { return ::bind(fd.get(), at, bytes); });
    (void)::listen(fd.get(), backlog);
    return fd;
  }
  /// Text, or where bytes of a connection are due as many of them.
  void say(std::size_t which, std::string text, bool is_line = false) {
    if (text.empty()) return;
    Says& says = says_[which];
    HostBytes::Socket& bytes = bytes_[says.number];
    for (std::size_t i = 0; says.state == Says::kData && i < text.size(); ++i) {
      text[i] = static_cast<char>(HostBytes::byte(says.number, bytes.bytes + i));
    }
    const ssize_t sent = ::send(sockets_[which].get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    if (says.state == Says::kData) {
      bytes.bytes += static_cast<std::uint64_t>(sent);
      if (says.has_messages) bytes.messages.push_back(static_cast<std::uint64_t>(sent));
    } else if (says.state == Says::kLine) {
      says.state = is_line ? Says::kData : Says::kNoLine;
      if (!is_line && text[0] == 'C') says_known = false;  // who knows what it is
    }
  }
  void read(std::size_t which) {
    std::array<char, 65536> buffer;
    const ssize_t got = ::recv(sockets_[which].get(), buffer.data(), buffer.size(), 0);
    if (got > 0 && is_known) {
      streams_[which].came(std::span(buffer).first(static_cast<std::size_t>(got)));
    }
  }

  std::string path_;
  std::array<UniqueFd, 2> listeners_;
  std::array<UniqueFd, kSockets> sockets_;
  std::array<Stream, kSockets> streams_;
  std::array<Says, kSockets> says_;
  HostBytes& bytes_;
};

class Run {
 public:
  explicit Run(Input& script)
      : script_(script),
        host_(path_, bytes_),
        device_(*Vsock::create({.cid = kCid, .socket = path_, .limits = limits()})),
        bits_(script.byte()),
        rig_(device_, {.packed = (bits_ & 1) != 0,
                       .features = device_->features(),
                       .queue_size = 32,
                       .ram_bytes = kRamBytes,
                       .external_ram = ram_.data()}) {
    if ((bits_ & 0x10) == 0) return;
    host_.is_known = false;
    agent_.emplace(rig_.memory().regions()[0].host, script.take<std::uint32_t>());
  }

  void play() {
    require(rig_.start());
    for (int step = 0; step < 256 && !script_.empty(); ++step) act(script_.byte());
    run();
    take_back();
    require((rig_.core().status() & ~virtio_device::kNeedsReset) == DeviceRig::kRunning);
    require(agent_ || rig_.running());
    require(rig_.start());
    rig_.run();
    ram_.check();
  }

 private:
  static constexpr std::uint64_t kRamBytes = std::uint64_t{16} << 20;

  static Limits limits() {
    Limits limits;
    limits.connections = 6;
    limits.clients = 2;
    limits.large_buffers = 2;
    limits.buffer_bytes = 4096;
    limits.small_buffer_bytes = 100;
    limits.greeting = limits.request = limits.backlog = std::chrono::milliseconds(0);
    limits.tick = std::chrono::milliseconds(1);
    return limits;
  }

  void act(std::uint8_t kind) {
    switch (kind % 8) {
      case 0:
      case 1:
        return send_packet();
      case 2:
        return host_.act(script_);
      case 3:
        (void)rig_.send(kRx, {.readable = {}, .writable = {script_.byte() * 37u}});
        return;
      case 4:
        return take_back();
      case 5:
        host_.is_known = false;
        (void)rig_.send(kTx, {.readable = {script_.bytes(script_.byte())}, .writable = {}});
        return;
      case 6:
        return change(script_.byte());
      default:
        return run();
    }
  }
  void run() {
    std::optional<SecondAgent::Turn> turn;
    if (agent_) turn.emplace(*agent_);
    require(rig_.run());
  }
  void send_packet() {
    // The host's ports that it gives to clients are 1 << 30 and above.
    const std::uint8_t ports = script_.byte();
    const std::uint8_t kinds = script_.byte();
    PacketHeader header{.src_cid = kCid,
                        .dst_cid = kHostCid,
                        .src_port = ports % kPorts,
                        .dst_port = ports / 4 % kPorts + ((ports & 0x80) != 0 ? 1u << 30 : 0),
                        .len = 0,
                        .type = (kinds & 0x80) != 0 ? SocketType::kSeqpacket : SocketType::kStream,
                        .op = Op{static_cast<std::uint16_t>(kinds % 16)},
                        .flags = kinds / 16u % 4,
                        .buf_alloc = script_.take<std::uint16_t>(),
                        .fwd_cnt = script_.take<std::uint16_t>()};
    Bytes payload(script_.take<std::uint16_t>() % 6000u, std::byte{'g'});
    // Data goes on where the last one of these ports ended.
    std::uint8_t& last = next_[{header.src_port, header.dst_port}];
    std::uint8_t next = last;
    if (header.op == Op::kData) {
      for (std::byte& byte : payload) byte = std::byte{next++};
    }
    header.len = static_cast<std::uint32_t>(payload.size());
    if ((ports & 0x10) != 0) {  // an honest count
      header.fwd_cnt = static_cast<std::uint32_t>(
          watch_.received(header.dst_port, header.src_port) * header.fwd_cnt / 0xffff);
    }
    const virtio_device::testing::Request request{.readable = {bytes_of(header.wire()), payload},
                                                  .writable = {}};
    if (rig_.send(kTx, request)) {
      last = next;
      watch_.sent(header);
    }
    if (rig_.heap().ran_out()) host_.is_known = false;
  }
  void change(std::uint8_t what) {
    if (what % 4 == 0) {
      require(rig_.start());
      watch_.restarted();
    }
    if (what % 4 == 1) {
      device_->transport_reset();
      watch_.ended_all();
    }
    if (what % 4 == 2) (void)rig_.send(kEvent, {.readable = {}, .writable = {what}});
    if (what % 4 == 3) (void)rig_.loop().run_once(std::chrono::milliseconds(2));
  }
  void take_back() {
    while (const auto sent = rig_.receive(kTx)) {
      require(agent_ || sent->written == 0);
      if (host_.is_known) watch_.came_back();
    }
    while (const auto answer = rig_.receive(kRx)) {
      if (agent_) continue;
      require(answer->written <= answer->bytes.size());
      if (answer->written != 0) check(*answer);
    }
    if (host_.is_known) watch_.caught_up();
    while (rig_.receive(kEvent)) continue;
  }
  void check(const virtio_device::testing::Answer& answer) {
    require(answer.written >= kHeaderBytes);
    const PacketHeader header = PacketHeader::parse(answer.at<WireHeader>(0));
    require(header.dst_cid == kCid && header.len == answer.written - kHeaderBytes);
    require(header.op >= Op::kRequest && header.op <= Op::kCreditRequest);
    require((header.op == Op::kData) == (header.len != 0));
    require(header.op == Op::kReset || header.src_cid == kHostCid);
    require(header.op != Op::kShutdown || (header.flags >= 1 && header.flags <= 3));
    if (host_.is_known && host_.says_known) watch_.came(header, answer);
  }

  Input& script_;
  const sys_util::TempDirectory directory_ = *sys_util::TempDirectory::create();
  const std::string path_ = directory_.path() + "/vsock";
  HostBytes bytes_;
  GuestWatch watch_{bytes_};
  Host host_;
  std::shared_ptr<Vsock> device_;
  const std::uint8_t bits_;
  const GuardedRam ram_{kRamBytes};
  DeviceRig rig_;
  std::optional<SecondAgent> agent_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint8_t> next_;  // by ports
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input script(data, size);
  Run(script).play();
  return 0;
}

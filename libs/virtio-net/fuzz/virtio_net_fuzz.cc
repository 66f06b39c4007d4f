// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A driver and a host at the two ends of a network device. No header reaches the host that was not
// checked; packets come over whole, in order and unchanged, or not at all. make_seeds.py writes the
// seeds.

#include <sys/socket.h>

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "device_fuzz.h"
#include "src/vnet_header.h"
#include "vmm/virtio_net/net.h"

namespace {

using namespace vmm;
using namespace vmm::virtio_net;

constexpr std::size_t kLargestMessage = kNetHeaderBytes + kMaxPacketBytes;

using Bytes = std::vector<std::byte>;

/// What was sent one way, oldest first.
class Sent {
 public:
  void add(Bytes packet) { packets_.push_back(std::move(packet)); }
  /// Aborts unless it was sent, and behind all that came before.
  void came(std::span<const std::byte> packet) {
    while (next_ < packets_.size()) {
      const Bytes& sent = packets_[next_++];
      if (std::ranges::equal(sent, packet)) return;
    }
    require(false);
  }
  /// None of those so far comes any more.
  void forget() { next_ = packets_.size(); }

 private:
  std::vector<Bytes> packets_;
  std::size_t next_ = 0;
};

/// The frames without their headers, as the driver sends and gets them.
class Watch final : public DriverWatch {
 public:
  void started(std::uint64_t) override {
    take_rest();
    is_known_ = true;
    to_host.forget();
    frame_.clear();
    left_ = 0;
  }
  void lost() override { is_known_ = false; }
  std::uint64_t sent(std::uint16_t queue, const virtio_device::testing::Request& request) override {
    const Bytes packet = Exchange{.request = request, .answer = {}}.sent();
    if (queue == 1 && packet.size() > kNetHeaderBytes) {
      to_host.add({packet.begin() + kNetHeaderBytes, packet.end()});
    }
    return 0;
  }
  void answered(const Exchange& exchange) override {
    if (exchange.queue != 0 || exchange.answer.written == 0) return;
    require(exchange.answer.written <= exchange.room());
    auto begin = exchange.answer.bytes.begin();
    const auto end = begin + exchange.answer.written;
    if (left_ == 0) {
      require(exchange.answer.written >= kNetHeaderBytes);
      left_ = exchange.answer.at<VnetHeader>(0).buffers.get();
      require(left_ != 0);
      begin += kNetHeaderBytes;
    }
    frame_.insert(frame_.end(), begin, end);
    if (--left_ != 0) return;
    to_driver.came(frame_);
    frame_.clear();
  }

  [[nodiscard]] bool is_known() const { return is_known_; }

  std::function<void()> take_rest;  ///< what came to the host of an earlier start
  Sent to_host;
  Sent to_driver;

 private:
  bool is_known_ = false;
  Bytes frame_;        // of buffers that came so far
  unsigned left_ = 0;  // buffers of it
};

/// The host's end of the port.
class Host {
 public:
  Host(UniqueFd fd, bool has_header, Watch& watch)
      : fd_(std::move(fd)), has_header_(has_header), watch_(watch) {}

  void send(const Bytes& packet) const {
    const std::size_t head = has_header_ ? kNetHeaderBytes : 0;
    if (packet.size() <= head) return;
    (void)::send(fd_.get(), packet.data(), packet.size(), MSG_DONTWAIT);
    watch_.to_driver.add({packet.begin() + static_cast<std::ptrdiff_t>(head), packet.end()});
  }
  void receive_all() {
    for (;;) {
      const ssize_t got =
          ::recv(fd_.get(), packet_.data(), packet_.size(), MSG_DONTWAIT | MSG_TRUNC);
      if (got < 0) return;
      const auto bytes = static_cast<std::size_t>(got);
      require(bytes >= 14 && bytes <= kLargestMessage);
      if (has_header_) check_header(bytes);
      const auto packet = std::as_bytes(std::span(packet_).first(bytes));
      if (watch_.is_known()) watch_.to_host.came(packet.subspan(has_header_ ? kNetHeaderBytes : 0));
    }
  }

 private:
  void check_header(std::size_t bytes) const {
    require(bytes >= kNetHeaderBytes + 14);
    VnetHeader header;
    std::memcpy(&header, packet_.data(), sizeof(header));
    require((header.flags & ~kNeedsCsum) == 0 && header.buffers.get() == 0);
    require(header.gso_type == kGsoNone || header.gso_bytes.get() != 0);
    require(header.csum_start.get() + header.csum_offset.get() + kNetHeaderBytes <= bytes);
    require(header.header_bytes.get() + kNetHeaderBytes <= bytes);
  }

  UniqueFd fd_;
  bool has_header_;
  Watch& watch_;
  std::vector<std::uint8_t> packet_ = std::vector<std::uint8_t>(kLargestMessage + 1);
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const bool has_header = (input.byte() & 1) != 0;
  std::array<int, 2> fds{-1, -1};
  require(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) == 0);
  Watch watch;
  Host host(UniqueFd(fds[1]), has_header, watch);
  watch.take_rest = [&host] { host.receive_all(); };
  std::vector<NetPort> ports;
  ports.push_back(*NetPort::adopt_socket(UniqueFd(fds[0]), has_header));
  const auto net = *Net::create({.mtu = 1500}, std::move(ports));
  const auto host_event = [&](Input& script) {
    switch (script.byte() % 4) {
      case 0:
        net->set_link_up((script.byte() & 1) != 0);
        return;
      case 1:
        (void)net->announce();
        return;
      default:
        host.receive_all();
        host.send(script.bytes(script.take<std::uint16_t>() % 2048u));
    }
  };
  fuzz_device(net, input, host_event, &watch);
  host.receive_all();
  return 0;
}

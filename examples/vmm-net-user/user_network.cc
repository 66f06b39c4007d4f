// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "user_network.h"

#include <arpa/inet.h>
#include <slirp/libslirp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <climits>
#include <ctime>
#include <utility>

namespace vmm::net_user {
namespace {

constexpr int kFramesAtOnce = 64;
constexpr std::size_t kMaxFds = 4096;

// The network that people know from other user-mode networks.
constexpr const char* kNetwork = "10.0.2.0";
constexpr const char* kMask = "255.255.255.0";
constexpr const char* kHost = "10.0.2.2";
constexpr const char* kNameServer = "10.0.2.3";
constexpr const char* kGuest = "10.0.2.15";

in_addr address(const char* text) {
  in_addr out{};
  (void)::inet_pton(AF_INET, text, &out);
  return out;
}

constexpr std::pair<int, short> kEvents[] = {{SLIRP_POLL_IN, POLLIN},
                                             {SLIRP_POLL_OUT, POLLOUT},
                                             {SLIRP_POLL_PRI, POLLPRI},
                                             {SLIRP_POLL_ERR, POLLERR},
                                             {SLIRP_POLL_HUP, POLLHUP}};

std::int64_t monotonic_ns(void* /*opaque*/) {
  timespec now{};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

SlirpConfig config_with(std::uint16_t mtu) {
  SlirpConfig config{};
  config.version = 1;
  config.in_enabled = true;
  config.vnetwork = address(kNetwork);
  config.vnetmask = address(kMask);
  config.vhost = address(kHost);
  config.vdhcp_start = address(kGuest);
  config.vnameserver = address(kNameServer);
  config.if_mtu = config.if_mru = mtu;
  return config;
}

}  // namespace

Result<std::unique_ptr<UserNetwork>> UserNetwork::create(int socket, const Options& options) {
  std::unique_ptr<UserNetwork> network(new UserNetwork(socket, options.has_header));
  // Timers are for IPv6 only. What a guest does wrong is its own affair.
  static const SlirpCb kCallbacks = [] {
    SlirpCb callbacks{};
    callbacks.send_packet = [](const void* bytes, std::size_t size, void* self) -> ssize_t {
      return static_cast<UserNetwork*>(self)->send_frame(bytes, size);
    };
    callbacks.guest_error = [](const char*, void*) {};
    callbacks.clock_get_ns = &monotonic_ns;
    callbacks.register_poll_fd = [](int, void*) {};
    callbacks.unregister_poll_fd = [](int, void*) {};
    callbacks.notify = [](void*) {};
    return callbacks;
  }();
  const SlirpConfig config = config_with(options.mtu);
  network->slirp_ = ::slirp_new(&config, &kCallbacks, network.get());
  if (network->slirp_ == nullptr) return fail(Error::os(ENOMEM, "libslirp"));
  return network;
}

UserNetwork::~UserNetwork() {
  if (slirp_ != nullptr) ::slirp_cleanup(slirp_);
}

Result<void> UserNetwork::add_forward(const HostForward& forward) {
  const in_addr host{.s_addr = forward.host_address};
  errno = 0;
  if (::slirp_add_hostfwd(slirp_, forward.udp ? 1 : 0, host, forward.host_port, address(kGuest),
                          forward.guest_port) != 0) {
    return fail(Error::os(errno == 0 ? EINVAL : errno, "listen"));
  }
  return {};
}

Result<void> UserNetwork::run() {
  for (;;) {
    polls_.assign(1, {.fd = socket_, .events = POLLIN, .revents = 0});
    std::uint32_t timeout = UINT32_MAX;
    ::slirp_pollfds_fill(
        slirp_, &timeout,
        [](int fd, int events, void* self) {
          return static_cast<UserNetwork*>(self)->add_poll(fd, events);
        },
        this);
    const int milliseconds = timeout > INT_MAX ? -1 : static_cast<int>(timeout);
    const int ready = ::poll(polls_.data(), polls_.size(), milliseconds);
    if (ready < 0 && errno != EINTR) return fail(Error::from_errno("poll"));
    // First the guest's frames: packets may wait for an answer among them, and leave below.
    if (ready > 0 && polls_[0].revents != 0 && !take_frames()) return {};
    ::slirp_pollfds_poll(
        slirp_, ready < 0 ? 1 : 0,
        [](int index, void* self) { return static_cast<UserNetwork*>(self)->events_of(index); },
        this);
  }
}

// Not more at once, so that connections get their turn.
bool UserNetwork::take_frames() {
  for (int left = kFramesAtOnce; left != 0; --left) {
    const ssize_t got = ::recv(socket_, message_.data(), message_.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    const auto size = static_cast<std::size_t>(got);
    if (size <= message_.size()) take_frame(std::span(message_).first(size));
  }
  return true;
}

void UserNetwork::take_frame(std::span<std::uint8_t> message) {
  if (has_header_) {
    if (!complete_frame(message)) return;
    message = message.subspan(kVnetHeaderBytes);
  }
  ::slirp_input(slirp_, message.data(), static_cast<int>(message.size()));
}

// Each connection of the guest is a descriptor; what is too much waits for others to end.
int UserNetwork::add_poll(int fd, int events) {
  if (polls_.size() >= kMaxFds) return -1;
  pollfd poll{.fd = fd, .events = 0, .revents = 0};
  for (const auto& [theirs, ours] : kEvents) {
    if ((events & theirs) != 0) poll.events = static_cast<short>(poll.events | ours);
  }
  polls_.push_back(poll);
  return static_cast<int>(polls_.size() - 1);
}

int UserNetwork::events_of(int index) const {
  if (index < 0) return 0;
  int events = 0;
  for (const auto& [theirs, ours] : kEvents) {
    if ((polls_[static_cast<std::size_t>(index)].revents & ours) != 0) events |= theirs;
  }
  return events;
}

// Waits for the guest when it is slow, so that nothing is lost to a retransmission.
std::int64_t UserNetwork::send_frame(const void* bytes, std::size_t size) const {
  std::array<std::uint8_t, kVnetHeaderBytes> header{kChecksumsAreValid};
  std::array<iovec, 2> parts{{{header.data(), header.size()}, {const_cast<void*>(bytes), size}}};
  msghdr message{};
  message.msg_iov = has_header_ ? parts.data() : &parts[1];
  message.msg_iovlen = has_header_ ? 2 : 1;
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket_, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? sent : static_cast<ssize_t>(size);
}

}  // namespace vmm::net_user

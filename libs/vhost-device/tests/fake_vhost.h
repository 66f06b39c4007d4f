// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A vhost of the test's own: it remembers what it is told, and refuses what it is told to.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

#include "answered_ioctls.h"
#include "linux_vhost.h"
#include "vmm/base/unique_fd.h"

namespace vmm::vhost_device {

/// Threads: answers on one, is looked at by another, which waits meanwhile.
class FakeVhost {
 public:
  struct Ring {
    vhost_vring_addr address{};
    std::uint32_t size = 0;
    std::uint32_t base = ~0u;
    UniqueFd kick{}, call{}, error{};
    bool running = false;
  };

  std::uint64_t features = std::uint64_t{1} << 32 | 1u << 29 | 1u << 28 | 1u << 26 | 1u << 15;
  std::uint64_t set_features = 0;
  std::uint64_t cid = 0;
  std::uint32_t regions = 0;
  std::array<Ring, 2> rings;
  std::vector<unsigned long> requests;
  std::map<unsigned long, int> refused;  ///< request -> errno value

  int operator()(const testing::AskedIoctl& asked) {
    requests.push_back(asked.request);
    if (const auto found = refused.find(asked.request); found != refused.end()) {
      return -found->second;
    }
    switch (asked.request) {
      case VHOST_GET_FEATURES:
        std::memcpy(reinterpret_cast<void*>(asked.argument), &features, sizeof(features));
        return 0;
      case VHOST_SET_FEATURES:
        set_features = read<std::uint64_t>(asked);
        return (set_features & ~features) != 0 ? -EOPNOTSUPP : 0;
      case VHOST_SET_MEM_TABLE:
        regions = read<std::uint32_t>(asked);  // the first field
        return 0;
      case VHOST_SET_VRING_ADDR:
        return set_address(read<vhost_vring_addr>(asked));
      case VHOST_SET_VRING_NUM:
      case VHOST_SET_VRING_BASE:
        return set_state(asked.request, read<vhost_vring_state>(asked));
      case VHOST_GET_VRING_BASE:
        return get_base(reinterpret_cast<vhost_vring_state*>(asked.argument));
      case VHOST_SET_VRING_KICK:
      case VHOST_SET_VRING_CALL:
      case VHOST_SET_VRING_ERR:
      case VHOST_NET_SET_BACKEND:
        return set_file(asked.request, read<vhost_vring_file>(asked));
      case VHOST_VSOCK_SET_GUEST_CID:
        cid = read<std::uint64_t>(asked);
        return 0;
      case VHOST_VSOCK_SET_RUNNING:
        for (Ring& ring : rings) ring.running = read<int>(asked) != 0;
        return 0;
      default:
        return 0;
    }
  }

  [[nodiscard]] bool asked(unsigned long request) const {
    return std::ranges::find(requests, request) != requests.end();
  }
  /// Whether nothing of the driver is left with it.
  [[nodiscard]] bool is_idle() const {
    return std::ranges::all_of(rings, [](const Ring& ring) {
      return !ring.running && !ring.kick && !ring.call && !ring.error;
    });
  }
  static void signal(const UniqueFd& event) {
    const std::uint64_t one = 1;
    (void)!::write(event.get(), &one, sizeof(one));
  }

 private:
  template <class T>
  static T read(const testing::AskedIoctl& asked) {
    T value{};
    std::memcpy(&value, reinterpret_cast<const void*>(asked.argument), sizeof(value));
    return value;
  }
  int set_address(const vhost_vring_addr& address) {
    if (address.index >= rings.size()) return -ENOBUFS;
    rings[address.index].address = address;
    return 0;
  }
  int set_state(unsigned long request, const vhost_vring_state& state) {
    if (state.index >= rings.size()) return -ENOBUFS;
    Ring& ring = rings[state.index];
    if (ring.running) return -EBUSY;
    (request == VHOST_SET_VRING_NUM ? ring.size : ring.base) = state.num;
    return 0;
  }
  int get_base(vhost_vring_state* state) {
    if (state->index >= rings.size()) return -ENOBUFS;
    state->num = rings[state->index].base;
    return 0;
  }
  int set_file(unsigned long request, const vhost_vring_file& file) {
    if (file.index >= rings.size()) return -ENOBUFS;
    Ring& ring = rings[file.index];
    if (request == VHOST_NET_SET_BACKEND) {
      ring.running = file.fd >= 0;
      return 0;
    }
    UniqueFd& event = request == VHOST_SET_VRING_KICK   ? ring.kick
                      : request == VHOST_SET_VRING_CALL ? ring.call
                                                        : ring.error;
    event.reset(file.fd < 0 ? -1 : ::fcntl(file.fd, F_DUPFD_CLOEXEC, 0));
    return 0;
  }
};

/// Runs `body` with the fake in the kernel's place. False: not on this kernel.
inline bool with_vhost(FakeVhost& vhost, const std::function<void()>& body) {
  return testing::with_answers(VHOST_VIRTIO, std::ref(vhost), body);
}

}  // namespace vmm::vhost_device

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Chains that no driver sends, for tests of any device:
//
//   for (const HostileChain& chain : hostile_chains()) {
//     CAPTURE(chain.name);
//     CHECK(outlive(rig, 0, chain) == "");
//     CHECK(a good request is answered);
//   }
//
// What a device's own header may say wrong is up to the device's own tests.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_device::testing {

/// A way to offer one bad chain.
struct HostileChain {
  const char* name;  ///< what is bad, in words
  /// The chain is against the rules of queues: it comes back with length 0 and the device does not
  /// see it. Else the device sees it, and does with it what it likes.
  bool malformed;
  /// Makes it available; nullopt: not with this kind of queue, or no room.
  std::optional<std::uint16_t> (*send)(DeviceRig& rig, std::uint16_t queue);
};

namespace detail {

using Token = std::optional<std::uint16_t>;

inline Token send_parts(DeviceRig& rig, std::uint16_t queue,
                        std::initializer_list<Buffer> buffers) {
  return rig.send_raw(queue, std::span(buffers.begin(), buffers.size()));
}
inline Buffer readable(GuestAddress at, std::uint32_t bytes) { return {at, bytes, false}; }
inline Buffer writable(GuestAddress at, std::uint32_t bytes) { return {at, bytes, true}; }
/// RAM that nobody else uses, for all tests.
inline GuestAddress spare(DeviceRig& rig) { return rig.heap().take(4096); }
inline GuestAddress before(GuestAddress at, std::uint64_t bytes) {
  return GuestAddress(at.raw() - bytes);
}

/// The descriptor of the ring that says `address`. Of a packed ring, where its fields are.
inline std::optional<GuestAddress> descriptor_of(DeviceRig& rig, std::uint16_t queue,
                                                 GuestAddress address) {
  const std::uint64_t ring = rig.rings(queue).descriptors.raw();
  for (std::uint64_t i = 0; i < rig.core().queue(queue)->size(); ++i) {
    const GuestAddress at(ring + i * virtio_queue::kDescriptorBytes);
    const auto found = rig.memory().read<Le64>(at);
    if (found && found->get() == address.raw()) return at;
  }
  return std::nullopt;
}

inline void set_length(DeviceRig& rig, GuestAddress descriptor, std::uint32_t length) {
  (void)rig.memory().write(GuestAddress(descriptor.raw() + 8), Le32(length));
}

/// A split chain whose last descriptor names `next`; nullopt: its own head.
inline Token send_linked(DeviceRig& rig, std::uint16_t queue, std::optional<std::uint16_t> next) {
  if (rig.options().packed) return std::nullopt;
  const GuestAddress last = spare(rig);
  const std::array<Buffer, 2> buffers{readable(spare(rig), 16), readable(last, 16)};
  const Token head = rig.add_raw(queue, buffers);
  if (!head) return std::nullopt;
  const auto at = descriptor_of(rig, queue, last);
  if (!at) return std::nullopt;
  (void)rig.memory().write(GuestAddress(at->raw() + 12), Le16(virtio_queue::kDescNext));
  (void)rig.memory().write(GuestAddress(at->raw() + 14), Le16(next.value_or(*head)));
  rig.publish(queue);
  return head;
}

/// An indirect table of `buffers`, whose size is said to be `bytes`.
inline Token send_table(DeviceRig& rig, std::uint16_t queue, std::span<const Buffer> buffers,
                        std::uint32_t bytes) {
  const GuestAddress table = spare(rig);
  const auto token = rig.driver(queue).add_indirect(buffers, table);
  const auto at = descriptor_of(rig, queue, table);
  if (!token || !at) return std::nullopt;
  set_length(rig, *at, bytes);
  rig.publish(queue);
  return *token;
}

inline Token send_nested_table(DeviceRig& rig, std::uint16_t queue) {
  const GuestAddress table = spare(rig);
  const std::array<Buffer, 1> buffers{readable(spare(rig), 16)};
  const auto token = rig.driver(queue).add_indirect(buffers, table);
  if (!token) return std::nullopt;
  const std::uint64_t flags = rig.options().packed ? 14 : 12;  // the offset of the field
  (void)rig.memory().write(GuestAddress(table.raw() + flags), Le16(virtio_queue::kDescIndirect));
  rig.publish(queue);
  return *token;
}

}  // namespace detail

/// All of them.
[[nodiscard]] inline std::span<const HostileChain> hostile_chains() {
  namespace d = detail;
  using Rig = DeviceRig;
  using Queue = std::uint16_t;
  static constexpr std::uint32_t kMost = 0xffff'ffff;
  static const std::array<HostileChain, 19> chains{{
      {"a readable part of no bytes", false,
       [](Rig& r, Queue q) { return d::send_parts(r, q, {d::readable(d::spare(r), 0)}); }},
      {"a writable part of no bytes", false,
       [](Rig& r, Queue q) { return d::send_parts(r, q, {d::writable(d::spare(r), 0)}); }},
      {"no bytes, outside of RAM", false,
       [](Rig& r, Queue q) { return d::send_parts(r, q, {d::readable(r.heap().end(), 0)}); }},
      {"one readable byte", false,
       [](Rig& r, Queue q) { return d::send_parts(r, q, {d::readable(d::spare(r), 1)}); }},
      {"one writable byte", false,
       [](Rig& r, Queue q) { return d::send_parts(r, q, {d::writable(d::spare(r), 1)}); }},
      {"the same bytes readable and writable", false,
       [](Rig& r, Queue q) {
         const GuestAddress at = d::spare(r);
         return d::send_parts(r, q, {d::readable(at, 64), d::writable(at, 64)});
       }},
      {"writable parts that overlap", false,
       [](Rig& r, Queue q) {
         const GuestAddress at = d::spare(r);
         return d::send_parts(
             r, q, {d::readable(d::spare(r), 64), d::writable(at, 64), d::writable(at, 1)});
       }},
      {"readable after writable", true,
       [](Rig& r, Queue q) {
         return d::send_parts(r, q, {d::writable(d::spare(r), 64), d::readable(d::spare(r), 64)});
       }},
      {"below RAM", true,
       [](Rig& r, Queue q) { return d::send_parts(r, q, {d::readable(GuestAddress(0), 1)}); }},
      {"above RAM", true,
       [](Rig& r, Queue q) { return d::send_parts(r, q, {d::writable(r.heap().end(), 1)}); }},
      {"across the end of RAM", true,
       [](Rig& r, Queue q) {
         return d::send_parts(r, q, {d::writable(d::before(r.heap().end(), 8), 9)});
       }},
      {"past the last address", true,
       [](Rig& r, Queue q) {
         return d::send_parts(r, q, {d::readable(GuestAddress(~std::uint64_t{0} - 7), 16)});
       }},
      {"a huge part", true,
       [](Rig& r, Queue q) { return d::send_parts(r, q, {d::readable(d::spare(r), kMost)}); }},
      {"huge parts", true,
       [](Rig& r, Queue q) {
         const GuestAddress at = d::spare(r);
         return d::send_parts(
             r, q, {d::readable(at, kMost), d::readable(at, kMost), d::writable(at, kMost)});
       }},
      {"a good part before a bad one", true,
       [](Rig& r, Queue q) {
         return d::send_parts(r, q,
                              {d::readable(d::spare(r), 64), d::writable(r.heap().end(), 64)});
       }},
      {"a loop", true, [](Rig& r, Queue q) { return d::send_linked(r, q, std::nullopt); }},
      {"a next descriptor that does not exist", true,
       [](Rig& r, Queue q) { return d::send_linked(r, q, std::uint16_t{0xffff}); }},
      {"half a descriptor in a table", true,
       [](Rig& r, Queue q) {
         return d::send_table(r, q, std::array<Buffer, 1>{d::readable(d::spare(r), 16)}, 24);
       }},
      {"a table in a table", true, [](Rig& r, Queue q) { return d::send_nested_table(r, q); }},
  }};
  return chains;
}

/// Sends a chain and says what went wrong: "" when the device is alive and the chain is where it
/// belongs. Precondition: nothing is in flight on this queue, or what is stays there.
[[nodiscard]] inline std::string outlive(DeviceRig& rig, std::uint16_t queue,
                                         const HostileChain& chain) {
  const auto token = chain.send(rig, queue);
  if (!token) return "";
  if (chain.malformed) {
    const auto answer = rig.wait(queue);
    if (!answer) return "it did not come back";
    if (answer->token != *token) return "another chain came back";
    if (answer->written != 0) return "something was written to it";
  } else {
    rig.run();
    while (rig.receive(queue)) continue;
  }
  return rig.running() ? "" : "the device wants a reset";
}

}  // namespace vmm::virtio_device::testing

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "fuzz_input.h"
#include "vmm/virtio_queue/queue.h"

namespace vmm::virtio_queue {

/// Calls on a queue, as the input says, with what must hold after each.
class Calls {
 public:
  /// `remap` changes what I/O addresses lead to, but for rings; it may be empty.
  Calls(Input& input, Queue& queue, std::span<std::byte> ram, std::function<void()> remap)
      : input_(input), queue_(queue), ram_(ram), remap_(std::move(remap)) {}

  void one() {
    switch (input_.byte() % 11) {
      case 0:
      case 1:
      case 2:
        return pop();
      case 3:
        return complete();
      case 4:
        return queue_.publish();
      case 5:
        (void)queue_.needs_notification();
        return;
      case 6:
        queue_.disable_notifications();
        return;
      case 7:
        (void)queue_.enable_notifications();
        return;
      case 8:
        return poke();
      case 10:
        if (remap_) remap_();
        return;
      default:
        return process();
    }
  }
  /// Every buffer can be given back once, and the queue goes on afterwards.
  void drain() {
    while (!held_.empty()) complete();
    queue_.publish();
    (void)queue_.needs_notification();
  }

 private:
  void pop() {
    const Pop popped = queue_.pop(chain_);
    if (popped != Pop::kChain) {
      require(chain_.reader().remaining() == 0 || popped == Pop::kEmpty);
      return;
    }
    require(chain_.head() < queue_.size());
    require(std::find(held_.begin(), held_.end(), chain_.head()) == held_.end());
    check_pieces();
    use_streams();
    if (input_.byte() % 16 == 0) return require(queue_.undo_pop(chain_).has_value());
    held_.push_back(chain_.head());
    require(held_.size() <= queue_.size());
  }
  void check_pieces() const {
    std::uint64_t total[2] = {0, 0};
    const std::span<const IoVec> parts[2] = {chain_.unsafe_readable(), chain_.unsafe_writable()};
    for (int i = 0; i < 2; ++i) {
      for (const IoVec& piece : parts[i]) {
        total[i] += piece.bytes;
        if (piece.bytes == 0) continue;
        const auto* const at = static_cast<const std::byte*>(piece.base);
        require(at >= ram_.data() && at < ram_.data() + ram_.size());
        require(piece.bytes <= static_cast<std::size_t>(ram_.data() + ram_.size() - at));
      }
    }
    require(total[0] == chain_.readable_bytes() && total[1] == chain_.writable_bytes());
    require(total[0] + total[1] <= 0xffffffff);
  }
  void use_streams() {
    Reader reader = chain_.reader();
    const std::uint32_t bytes = reader.remaining();
    auto tail = reader.split_at(input_.take<std::uint16_t>());
    require(!tail || reader.remaining() + tail->remaining() == bytes);
    std::vector<std::byte> out(300);
    const std::size_t want = std::min<std::size_t>(out.size(), reader.remaining());
    require(reader.read(out) == want);
    Writer writer = chain_.writer();
    const bool fits = writer.remaining() >= 8;
    require(writer.write_obj(Le64(0x0123456789abcdef)).has_value() == fits);
    (void)writer.skip(input_.byte());
    (void)writer.write(std::span<const std::byte>(out).first(input_.byte()));
    chain_.mark_written(0xffffffff);
  }
  void complete() {
    const std::uint16_t wrong = input_.take<std::uint16_t>();
    if (std::find(held_.begin(), held_.end(), wrong) == held_.end()) {
      require(!queue_.add_used(wrong, 1));
    }
    if (held_.empty()) return;
    const std::size_t at = input_.byte() % held_.size();
    const std::uint16_t head = held_[at];
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(at));
    const auto written = input_.take<std::uint32_t>();
    const auto done =
        (wrong & 0x8000) != 0 ? queue_.complete(head, written) : queue_.add_used(head, written);
    require(done.has_value());
    require(!queue_.add_used(head, 0));
  }
  /// The driver writes anything anywhere.
  void poke() {
    const std::size_t at = input_.take<std::uint16_t>() % ram_.size();
    const std::vector<std::byte> bytes = input_.bytes(1 + input_.byte() % 32);
    for (std::size_t i = 0; i < bytes.size() && at + i < ram_.size(); ++i) {
      __atomic_store_n(reinterpret_cast<std::uint8_t*>(&ram_[at + i]),
                       std::to_integer<std::uint8_t>(bytes[i]), __ATOMIC_RELAXED);
    }
  }
  void process() {
    const std::uint32_t budget = 1 + input_.byte() % 64u;
    const Served served = queue_.process(
        chain_, budget, [](Chain& chain) { return std::optional(chain.writable_bytes()); });
    require(served.chains + served.malformed <= budget);
  }

  Input& input_;
  Queue& queue_;
  std::span<std::byte> ram_;
  std::function<void()> remap_;
  InlineChain<80> chain_;
  std::vector<std::uint16_t> held_;
};

}  // namespace vmm::virtio_queue

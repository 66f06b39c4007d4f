// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "disk_rig.h"

namespace vmm::block {

/// A guest: random requests on its own part of the disk, and what the part must have then.
class Guest {
  using Kind = DiskRequest::Kind;

 public:
  struct Options {
    EngineKind engine = EngineKind::kSync;
    std::uint64_t start = 0;
    std::uint64_t bytes = 0;
    unsigned seed = 0;
    std::uint64_t longest = 256 * 1024;
  };

  Guest(const std::shared_ptr<Image>& image, const Options& options, std::vector<std::byte> content)
      : options_(options),
        queue_(*DiskQueue::create(image, {.engine = options.engine, .depth = kDepth})),
        content_(std::move(content)),
        random_(options.seed) {}

  /// Several requests at once, that don't overlap.
  void round() {
    if (!failure_.empty()) return;
    std::vector<DiskRequest> requests;
    std::vector<std::vector<std::byte>> data(kDepth);
    std::vector<IoVec> lists(kDepth);
    while (requests.size() < kDepth) {
      DiskRequest request = any_request();
      const bool overlaps = std::any_of(requests.begin(), requests.end(), [&](const auto& other) {
        return request.range.offset < other.range.offset + other.range.bytes &&
               other.range.offset < request.range.offset + request.range.bytes;
      });
      if (overlaps) break;
      const std::size_t tag = requests.size();
      request.tag = static_cast<std::uint32_t>(tag);
      if (request.kind == Kind::kRead || request.kind == Kind::kWrite) {
        data[tag] = pattern(request.range.bytes, static_cast<unsigned>(random_()));
        lists[tag] = {data[tag].data(), data[tag].size()};
        request.buffers = {&lists[tag], 1};
      }
      requests.push_back(request);
      queue_->submit(request);
    }
    const auto ended = wait_for(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) settle(requests[i], ended[i], data[i]);
  }

  [[nodiscard]] const std::vector<std::byte>& content() const { return content_; }
  [[nodiscard]] DiskQueue& queue() { return *queue_; }
  /// What went wrong; empty: nothing. (Several threads must not use the test framework's checks.)
  [[nodiscard]] const std::string& failure() const { return failure_; }

 private:
  static constexpr std::uint32_t kDepth = 8;

  DiskRequest any_request() {
    static constexpr Kind kKinds[] = {Kind::kWrite, Kind::kWrite,   Kind::kWrite,      Kind::kRead,
                                      Kind::kRead,  Kind::kDiscard, Kind::kWriteZeroes};
    DiskRequest request;
    const std::uint64_t pick = random_() % 64;
    if (pick == 0) {
      request.kind = Kind::kFlush;
      return request;
    }
    request.kind = kKinds[random_() % std::size(kKinds)];
    request.may_unmap = random_() % 2 == 0;
    request.durable = request.kind != Kind::kRead && random_() % 32 == 0;
    const std::uint64_t sectors = options_.bytes / 512;
    std::uint64_t most = options_.longest / 512;
    if (random_() % 2 == 0) most = 16;
    const std::uint64_t count = 1 + random_() % std::min(most, sectors);
    std::uint64_t at = random_() % (sectors - count + 1);
    if (random_() % 4 == 0) at = at / 128 * 128;
    request.range = {options_.start + at * 512, count * 512};
    return request;
  }

  void settle(const DiskRequest& request, const EndedRequest& ended,
              const std::vector<std::byte>& data) {
    if (ended.error != 0) fail("error " + std::to_string(ended.error), request);
    const auto at =
        content_.begin() + static_cast<std::ptrdiff_t>(request.range.offset - options_.start);
    const auto end = at + static_cast<std::ptrdiff_t>(request.range.bytes);
    switch (request.kind) {
      case Kind::kRead:
        if (!std::equal(at, end, data.begin())) fail("other bytes were read", request);
        break;
      case Kind::kWrite:
        std::copy(data.begin(), data.end(), at);
        break;
      case Kind::kWriteZeroes:
        std::fill(at, end, std::byte{0});
        break;
      case Kind::kDiscard:
        look(request, at, end);
        break;
      case Kind::kFlush:
        break;
    }
  }

  /// What a discard left: zeros or what was there, each sector by itself.
  void look(const DiskRequest& request, std::vector<std::byte>::iterator at,
            std::vector<std::byte>::iterator end) {
    std::vector<std::byte> now(request.range.bytes);
    const IoVec list{now.data(), now.size()};
    queue_->submit({.kind = Kind::kRead, .range = request.range, .buffers = {&list, 1}});
    if (wait_for(1).front().error != 0) fail("a read failed", request);
    for (auto from = now.begin(); at != end; at += 512, from += 512) {
      const bool zero =
          std::all_of(from, from + 512, [](std::byte b) { return b == std::byte{0}; });
      if (!zero && !std::equal(from, from + 512, at)) fail("a discard made new bytes", request);
      std::copy(from, from + 512, at);
    }
  }

  std::vector<EndedRequest> wait_for(std::size_t count) {
    std::vector<EndedRequest> ended(count);
    queue_->kick();
    while (count != 0) {
      EndedRequest some[4];
      const std::size_t got = queue_->reap(some);
      for (std::size_t i = 0; i < got; ++i) ended.at(some[i].tag) = some[i];
      count -= got;
      pollfd wanted{.fd = queue_->poll_fd(), .events = POLLIN, .revents = 0};
      if (got == 0 && count != 0) ::poll(&wanted, 1, 1000);
    }
    return ended;
  }

  void fail(const std::string& what, const DiskRequest& request) {
    failure_ = what + ": kind " + std::to_string(static_cast<int>(request.kind)) + " at " +
               std::to_string(request.range.offset) + ", bytes " +
               std::to_string(request.range.bytes);
  }

  Options options_;
  std::unique_ptr<DiskQueue> queue_;
  std::vector<std::byte> content_;
  std::mt19937_64 random_;
  std::string failure_;
};

}  // namespace vmm::block

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Double-fetch mode of fuzz targets: a second agent changes guest memory between the reads of it.
//
//   SecondAgent agent(ram, input.take<std::uint32_t>());
//   {
//     const SecondAgent::Turn turn(agent);
//     rig.run();  // the device reads, the agent changes what it has just read
//   }
//
// In the fuzz build the compiler calls us before each load (trace-loads), also before those that it
// made up itself: at some of them the agent changes a word that was loaded a moment ago, as its
// script says. The same input does the same again. Other builds know no such calls: there a thread
// changes bytes meanwhile, wherever they are.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <thread>

#if defined(VMM_TRACE_LOADS)
#define VMM_SECOND_AGENT_CODE __attribute__((no_sanitize("coverage", "address", "undefined")))
#else
#define VMM_SECOND_AGENT_CODE
#endif

class SecondAgent {
 public:
  /// Precondition: `ram` is there as long as the agent has turns. The script says how often the
  /// agent acts, and what it does.
  SecondAgent(std::span<std::byte> ram, std::uint32_t script)
      : ram_(ram.data()),
        bytes_(ram.size()),
        random_(script | 1),
        period_(1 + (script >> 24) % 32) {}
  SecondAgent(const SecondAgent&) = delete;
  SecondAgent& operator=(const SecondAgent&) = delete;

  /// As long as it lives, the agent acts: on loads of this thread.
  class Turn {
   public:
    explicit Turn(SecondAgent& agent);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
#if defined(VMM_TRACE_LOADS)
    SecondAgent* const before_;
#else
    std::atomic<bool> stop_{false};
    std::thread thread_;
#endif
  };

  /// Somebody is about to load `bytes` bytes there.
  VMM_SECOND_AGENT_CODE void loading(const void* from, std::size_t bytes) {
    const std::size_t offset = static_cast<std::size_t>(static_cast<const std::byte*>(from) - ram_);
    if (offset >= bytes_ || bytes > bytes_ - offset) return;
    seen_[next_++ % kSeen] = {offset, bytes};
    if (seen_count_ < kSeen) ++seen_count_;
    if (++loads_ % period_ != 0) return;
    const Word word = seen_[random() % seen_count_];
    change(word);
  }
  /// How often it has changed something.
  [[nodiscard]] std::uint64_t changes() const { return changes_; }

  /// The one whose turn it is on this thread.
  static inline thread_local SecondAgent* active = nullptr;

 private:
  struct Word {
    std::size_t offset = 0;
    std::size_t bytes = 0;
  };

  VMM_SECOND_AGENT_CODE std::uint32_t random() {
    random_ = random_ * 1664525 + 1013904223;
    return random_ >> 8;
  }
  VMM_SECOND_AGENT_CODE void change(const Word& word) {
    const std::uint32_t how = random();
    ++changes_;
    if (how % 4 == 0) return flip(word.offset + how / 32 % word.bytes, 1u << (how / 4 % 8));
    if (how % 4 == 1) return flip(word.offset, 1 + how / 4 % 255);
    for (std::size_t i = 0; i < word.bytes; ++i) {
      const auto value = static_cast<std::uint8_t>(how % 4 == 2 ? 0xff : random());
      __atomic_store_n(at(word.offset + i), value, __ATOMIC_RELAXED);
    }
  }
  VMM_SECOND_AGENT_CODE void flip(std::size_t offset, std::uint32_t bits) {
    __atomic_fetch_xor(at(offset), static_cast<std::uint8_t>(bits), __ATOMIC_RELAXED);
  }
  VMM_SECOND_AGENT_CODE std::uint8_t* at(std::size_t offset) {
    return reinterpret_cast<std::uint8_t*>(ram_ + offset);
  }

  static constexpr std::size_t kSeen = 8;

  std::byte* const ram_;
  const std::size_t bytes_;
  std::uint32_t random_;
  const std::uint32_t period_;
  std::uint64_t loads_ = 0;
  std::uint64_t changes_ = 0;
  // An array of its own, as the standard library's functions would be loads that are traced.
  Word seen_[kSeen];
  std::size_t next_ = 0;
  std::size_t seen_count_ = 0;
};

#if defined(VMM_TRACE_LOADS)

// What was loaded in an earlier turn may serve something else by now.
inline SecondAgent::Turn::Turn(SecondAgent& agent) : before_(active) {
  agent.seen_count_ = agent.next_ = 0;
  active = &agent;
}
inline SecondAgent::Turn::~Turn() { active = before_; }

// A fuzz target is one source file: these are its only definitions.
#define VMM_TRACED_LOAD(bytes)                                                          \
  extern "C" VMM_SECOND_AGENT_CODE void __sanitizer_cov_load##bytes(const void* from) { \
    if (SecondAgent::active != nullptr) SecondAgent::active->loading(from, bytes);      \
  }
VMM_TRACED_LOAD(1)
VMM_TRACED_LOAD(2)
VMM_TRACED_LOAD(4)
VMM_TRACED_LOAD(8)
VMM_TRACED_LOAD(16)
#undef VMM_TRACED_LOAD

#else

inline SecondAgent::Turn::Turn(SecondAgent& agent)
    : thread_([this, &agent] {
        while (!stop_) agent.change({agent.random() % agent.bytes_, 1});
      }) {}
inline SecondAgent::Turn::~Turn() {
  stop_ = true;
  thread_.join();
}

#endif

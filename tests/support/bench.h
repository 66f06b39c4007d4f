// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A small benchmark harness. A bench file registers rows:
//
//   VMM_BENCH(bench) {
//     GuestMemory memory = ...;                    // setup, not measured
//     bench.run("vm-memory/x_read_obj_u64", [&] { keep(memory.read<std::uint64_t>(kAt)); });
//     bench.run("vm-memory/walk", 128, [&] { ... });         // one call does 128 operations
//     bench.run_prepared("vm-memory/pop", 128, [&] { ... }, [&] { ... });  // the first not counted
//     bench.floor("vm-memory/x_read_obj_u64", [&] { ... });  // the least correct work, in C
//   }
//
// Without arguments the program prints "name<TAB>ns per operation" for each row, the best of
// several rounds. With --count OPS, under callgrind, it brackets OPS operations of each row with
// client requests, from which tests/bench/bench.py takes exact instruction counts. Rows that are
// slow under callgrind run fewer operations than asked for, at least one call. --filter REGEX
// selects rows, --list only names them.

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>

namespace vmm::bench {

/// Keeps the compiler from dropping the computation of `value`, which stays where it is: what does
/// not fit a register is not copied.
template <class T>
inline void keep(const T& value) {
  if constexpr (std::is_scalar_v<T>) {
    asm volatile("" : : "r,m"(value) : "memory");
  } else {
    asm volatile("" : : "m"(value) : "memory");
  }
}

/// Hides a value from the optimizer.
template <class T>
[[nodiscard]] inline T opaque(T value) {
  asm volatile("" : "+r"(value) : : "memory");
  return value;
}

class Bench {
 public:
  /// Measures `op`; one call is `ops` operations.
  template <class Op>
  void run(std::string_view name, std::size_t ops, Op&& op) {
    if (!selected(name)) return;
    measure(name, ops, [&op](std::size_t calls) {
      for (std::size_t i = 0; i < calls; ++i) op();
    });
  }
  /// The same, where each call of `op` comes after one of `prepare`: both are measured, `prepare`
  /// also alone, and what remains without it is reported.
  template <class Prepare, class Op>
  void run_prepared(std::string_view name, std::size_t ops, Prepare&& prepare, Op&& op) {
    if (!selected(name)) return;
    const auto both = [&](std::size_t calls) {
      for (std::size_t i = 0; i < calls; ++i) {
        call(prepare);
        op();
      }
    };
    measure(name, ops, both, [&prepare](std::size_t calls) {
      for (std::size_t i = 0; i < calls; ++i) call(prepare);
    });
  }
  template <class Op>
  void run(std::string_view name, Op&& op) {
    run(name, 1, op);
  }
  /// Measures the floor of row `name`: its row is called "floor:name".
  template <class Op>
  void floor(std::string_view name, std::size_t ops, Op&& op) {
    run("floor:" + std::string(name), ops, op);
  }
  template <class Op>
  void floor(std::string_view name, Op&& op) {
    floor(name, 1, op);
  }

 private:
  [[nodiscard]] bool selected(std::string_view name) const;
  /// The same code wherever it is called.
  template <class Op>
  [[gnu::noinline]] static void call(Op& op) {
    op();
  }
  using Loop = std::function<void(std::size_t calls)>;
  void measure(std::string_view name, std::size_t ops, const Loop& loop, const Loop& less = {});
};

struct Registration {
  explicit Registration(void (*body)(Bench&));
};

}  // namespace vmm::bench

#define VMM_BENCH_CONCAT2(a, b) a##b
#define VMM_BENCH_CONCAT(a, b) VMM_BENCH_CONCAT2(a, b)
#define VMM_BENCH_IMPL(body, bench)                                                   \
  static void body(::vmm::bench::Bench& bench);                                       \
  static const ::vmm::bench::Registration VMM_BENCH_CONCAT(body, _registered)(&body); \
  static void body(::vmm::bench::Bench& bench)
#define VMM_BENCH(bench) VMM_BENCH_IMPL(VMM_BENCH_CONCAT(bench_body_, __COUNTER__), bench)

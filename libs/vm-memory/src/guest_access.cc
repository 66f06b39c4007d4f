// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/guest_access.h"

// Payload copies race by design with whoever plays the guest, so ThreadSanitizer must not look
// at them; accesses to single words (load, store) stay visible to it.
#define VMM_RACES_BY_DESIGN __attribute__((no_sanitize("thread")))

namespace vmm::vm_memory::detail {
namespace {

/// Two words at once. The hardware moves each aligned 8-byte half whole.
struct Pair {
  typedef std::uint64_t type __attribute__((vector_size(16), may_alias));
};

enum class Side : bool { kFrom, kTo };  // which of the two pointers is the guest's

template <std::size_t kBytes, Side kGuest>
VMM_RACES_BY_DESIGN inline void move_word(std::byte* to, const std::byte* from) {
  if constexpr (kGuest == Side::kFrom) {
    const auto word = load_word<kBytes>(from);
    __builtin_memcpy(to, &word, kBytes);
  } else {
    typename WordOf<kBytes>::plain word;
    __builtin_memcpy(&word, from, kBytes);
    store_word<kBytes>(to, word);
  }
}

template <Side kGuest>
VMM_RACES_BY_DESIGN inline void move_pair(std::byte* to, const std::byte* from) {
  Pair::type pair;
  if constexpr (kGuest == Side::kFrom) {
    pair = *reinterpret_cast<const Pair::type*>(from);
    __builtin_memcpy(to, &pair, sizeof(pair));
  } else {
    __builtin_memcpy(&pair, from, sizeof(pair));
    *reinterpret_cast<Pair::type*>(to) = pair;
  }
}

/// The compiler can neither turn a loop with it into a call of memcpy, nor move accesses past it.
inline void barrier() { asm volatile("" : : : "memory"); }

/// Walks up to a 16-byte boundary of the guest's side in ever larger words, then moves pairs, and
/// ends in ever smaller words: every word is aligned to its own size there.
template <Side kGuest>
VMM_RACES_BY_DESIGN inline void copy_fields(std::byte* to, const std::byte* from, std::size_t n) {
  const auto step = [&]<std::size_t kBytes>(std::integral_constant<std::size_t, kBytes>) {
    move_word<kBytes, kGuest>(to, from);
    to += kBytes;
    from += kBytes;
    n -= kBytes;
  };
  const auto guest_aligned = [&](std::size_t power_of_two) {
    return is_aligned(kGuest == Side::kFrom ? from : to, power_of_two);
  };
  using std::integral_constant;
  barrier();
  if (!guest_aligned(16)) {
    if (!guest_aligned(2) && n >= 1) step(integral_constant<std::size_t, 1>());
    if (!guest_aligned(4) && n >= 2) step(integral_constant<std::size_t, 2>());
    if (!guest_aligned(8) && n >= 4) step(integral_constant<std::size_t, 4>());
    if (!guest_aligned(16) && n >= 8) step(integral_constant<std::size_t, 8>());
  }
  for (const std::byte* const end = from + (n & ~std::size_t{63}); from != end; barrier()) {
    for (std::size_t i = 0; i < 64; i += 16) move_pair<kGuest>(to + i, from + i);
    to += 64;
    from += 64;
  }
  for (const std::byte* const end = from + (n & 48); from != end; barrier()) {
    move_pair<kGuest>(to, from);
    to += 16;
    from += 16;
  }
  if ((n & 8) != 0) step(integral_constant<std::size_t, 8>());
  if ((n & 4) != 0) step(integral_constant<std::size_t, 4>());
  if ((n & 2) != 0) step(integral_constant<std::size_t, 2>());
  if ((n & 1) != 0) step(integral_constant<std::size_t, 1>());
  barrier();
}

}  // namespace

VMM_RACES_BY_DESIGN void copy_out_fields(std::byte* to, const std::byte* guest, std::size_t n) {
  copy_fields<Side::kFrom>(to, guest, n);
}

VMM_RACES_BY_DESIGN void copy_in_fields(std::byte* guest, const std::byte* from, std::size_t n) {
  copy_fields<Side::kTo>(guest, from, n);
}

void copy_within(std::byte* guest_to, const std::byte* guest_from, std::size_t n) {
  if (n == 0) return;
  asm volatile("" : "+r"(guest_to), "+r"(guest_from) : : "memory");
  std::memmove(guest_to, guest_from, n);
  barrier();
}

void fill(std::byte* guest, std::byte value, std::size_t n) {
  if (n == 0) return;
  asm volatile("" : "+r"(guest) : : "memory");
  std::memset(guest, std::to_integer<int>(value), n);
  barrier();
}

}  // namespace vmm::vm_memory::detail

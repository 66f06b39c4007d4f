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

template <std::size_t kBytes>
VMM_RACES_BY_DESIGN inline void word_out(std::byte* to, const std::byte* guest) {
  const auto word = load_word<kBytes>(guest);
  __builtin_memcpy(to, &word, kBytes);
}

template <std::size_t kBytes>
VMM_RACES_BY_DESIGN inline void word_in(std::byte* guest, const std::byte* from) {
  typename WordOf<kBytes>::plain word;
  __builtin_memcpy(&word, from, kBytes);
  store_word<kBytes>(guest, word);
}

VMM_RACES_BY_DESIGN inline void pair_out(std::byte* to, const std::byte* guest) {
  const auto pair = *reinterpret_cast<const Pair::type*>(guest);
  __builtin_memcpy(to, &pair, 16);
}

VMM_RACES_BY_DESIGN inline void pair_in(std::byte* guest, const std::byte* from) {
  Pair::type pair;
  __builtin_memcpy(&pair, from, 16);
  *reinterpret_cast<Pair::type*>(guest) = pair;
}

inline void barrier() { asm volatile("" : : : "memory"); }

}  // namespace

// Both functions walk up to a 16-byte boundary of the *guest* side in ever larger words, then
// move pairs, and end in ever smaller words: every word is aligned to its own size there.
VMM_RACES_BY_DESIGN void copy_out_fields(std::byte* to, const std::byte* guest, std::size_t n) {
  const auto step = [&]<std::size_t kBytes>(std::integral_constant<std::size_t, kBytes>) {
    word_out<kBytes>(to, guest);
    to += kBytes;
    guest += kBytes;
    n -= kBytes;
  };
  using std::integral_constant;
  barrier();
  if (!is_aligned(guest, 16)) {
    if (!is_aligned(guest, 2) && n >= 1) step(integral_constant<std::size_t, 1>());
    if (!is_aligned(guest, 4) && n >= 2) step(integral_constant<std::size_t, 2>());
    if (!is_aligned(guest, 8) && n >= 4) step(integral_constant<std::size_t, 4>());
    if (!is_aligned(guest, 16) && n >= 8) step(integral_constant<std::size_t, 8>());
  }
  for (; n >= 64; to += 64, guest += 64, n -= 64) {
    pair_out(to, guest);
    pair_out(to + 16, guest + 16);
    pair_out(to + 32, guest + 32);
    pair_out(to + 48, guest + 48);
    barrier();  // also keeps the loop from being turned into a call of memcpy
  }
  for (; n >= 16; to += 16, guest += 16, n -= 16) {
    pair_out(to, guest);
    barrier();
  }
  if ((n & 8) != 0) step(integral_constant<std::size_t, 8>());
  if ((n & 4) != 0) step(integral_constant<std::size_t, 4>());
  if ((n & 2) != 0) step(integral_constant<std::size_t, 2>());
  if ((n & 1) != 0) step(integral_constant<std::size_t, 1>());
  barrier();
}

VMM_RACES_BY_DESIGN void copy_in_fields(std::byte* guest, const std::byte* from, std::size_t n) {
  const auto step = [&]<std::size_t kBytes>(std::integral_constant<std::size_t, kBytes>) {
    word_in<kBytes>(guest, from);
    guest += kBytes;
    from += kBytes;
    n -= kBytes;
  };
  using std::integral_constant;
  barrier();
  if (!is_aligned(guest, 16)) {
    if (!is_aligned(guest, 2) && n >= 1) step(integral_constant<std::size_t, 1>());
    if (!is_aligned(guest, 4) && n >= 2) step(integral_constant<std::size_t, 2>());
    if (!is_aligned(guest, 8) && n >= 4) step(integral_constant<std::size_t, 4>());
    if (!is_aligned(guest, 16) && n >= 8) step(integral_constant<std::size_t, 8>());
  }
  for (; n >= 64; guest += 64, from += 64, n -= 64) {
    pair_in(guest, from);
    pair_in(guest + 16, from + 16);
    pair_in(guest + 32, from + 32);
    pair_in(guest + 48, from + 48);
    barrier();
  }
  for (; n >= 16; guest += 16, from += 16, n -= 16) {
    pair_in(guest, from);
    barrier();
  }
  if ((n & 8) != 0) step(integral_constant<std::size_t, 8>());
  if ((n & 4) != 0) step(integral_constant<std::size_t, 4>());
  if ((n & 2) != 0) step(integral_constant<std::size_t, 2>());
  if ((n & 1) != 0) step(integral_constant<std::size_t, 1>());
  barrier();
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

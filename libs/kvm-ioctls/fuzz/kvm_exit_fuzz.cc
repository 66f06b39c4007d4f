// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Any run page: its exit is decoded or refused, and whatever the exit leads to lies inside of the
// vCPU's mapping. The first input byte chooses the mapping's size, the others fill it from the
// exit reason on.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "src/decode.h"

namespace {

using namespace vmm::kvm_ioctls;

struct Checker {
  std::span<std::byte> page;

  void inside(const void* data, std::size_t bytes) const {
    const auto* at = static_cast<const std::byte*>(data);
    if (at < page.data() || at > page.data() + page.size()) std::abort();
    if (bytes > static_cast<std::size_t>(page.data() + page.size() - at)) std::abort();
  }
  template <class T, std::size_t kExtent>
  void inside(std::span<T, kExtent> span) const {
    inside(span.data(), span.size_bytes());
    unsigned sum = 0;  // reading all of it lets the sanitizer judge, too
    for (const std::byte byte : std::as_bytes(span)) sum += std::to_integer<unsigned>(byte);
    if (sum > 255u * span.size_bytes()) std::abort();
  }

  void operator()(const exits::IoIn& e) const {
    inside(e.data);
    if (e.data.size() != std::size_t{e.count} * e.item_bytes) std::abort();
    std::fill(e.data.begin(), e.data.end(), std::byte{0xff});
  }
  void operator()(const exits::IoOut& e) const {
    inside(e.data);
    if (e.data.size() != std::size_t{e.count} * e.item_bytes) std::abort();
  }
  void operator()(const exits::MmioRead& e) const {
    inside(e.data);
    if (e.data.size() > 8) std::abort();
  }
  void operator()(const exits::MmioWrite& e) const {
    inside(e.data);
    if (e.data.size() > 8) std::abort();
  }
  void operator()(const exits::SystemEvent& e) const {
    inside(e.data);
    if (e.data.size() > 16) std::abort();
  }
  void operator()(const exits::InternalError& e) const {
    inside(e.data);
    if (e.data.size() > 16 || e.instruction().size() > 15) std::abort();
    if (!e.instruction().empty()) inside(e.instruction());
  }
  void operator()(const exits::Hypercall& e) const {
    inside(e.arguments);
    inside(e.result, 8);
  }
  void operator()(const exits::Rdmsr& e) const {
    inside(e.data, 8);
    inside(e.error, 1);
  }
  void operator()(const exits::Wrmsr& e) const { inside(e.error, 1); }
  void operator()(const exits::HypervHcall& e) const {
    inside(e.parameters);
    inside(e.result, 8);
  }
  void operator()(const exits::HypervSyndbg& e) const {
    inside(e.pages);
    inside(e.status, 8);
  }
  void operator()(const exits::XenHcall& e) const {
    inside(e.parameters);
    inside(e.result, 8);
  }
  void operator()(const exits::RiscvSbi& e) const {
    inside(e.arguments);
    inside(e.results);
  }
  void operator()(const exits::RiscvCsr& e) const { inside(e.result, 8); }
  void operator()(const exits::Tdx& e) const {
    inside(e.words);
    inside(e.result, 8);
  }
  template <class T>
  void operator()(const T&) const {}  // values only
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kPage = 4096;
  constexpr std::size_t kReasonAt = 8;
  if (size == 0) return 0;
  const std::size_t bytes = kPage * (1 + data[0] % 3);
  // From the heap, so that the sanitizer sees both ends of it.
  const std::unique_ptr<std::uint64_t[]> words(new std::uint64_t[bytes / 8]());
  const std::span<std::byte> page(reinterpret_cast<std::byte*>(words.get()), bytes);
  std::memcpy(page.data() + kReasonAt, data + 1, std::min(size - 1, bytes - kReasonAt));
  const auto exit = decode_exit(page);
  if (!exit) return 0;
  if (*name_of(*exit) == '\0') std::abort();
  std::visit(Checker{page}, *exit);
  return 0;
}

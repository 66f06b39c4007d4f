// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Random calls on a machine of several regions, one of them just below 2^64, and on an IOTLB in
// front of it, checked against a model that keeps guest memory as single bytes and the IOTLB as
// one answer per page. After each call: the results equal those of the model, guest bytes equal
// those of the model, guard bytes around the regions are untouched, and what was written is dirty.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "fuzz_input.h"
#include "vmm/vm_memory/iotlb.h"
#include "vmm/vm_memory/iova_view.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::vm_memory {
namespace {

constexpr std::uint64_t kRegionBytes = 256;
constexpr std::uint64_t kGuard = 64;
constexpr std::uint64_t kPage = 32;  // of the dirty bitmaps and of the IOTLB's model
constexpr std::uint64_t kTop = std::uint64_t{0} - 1 - kRegionBytes;
constexpr std::array<std::uint64_t, 5> kBases{0x0, 0x100, 0x300, 0x400, kTop};
constexpr std::uint64_t kIovaPages = 64;
constexpr std::uint64_t kIovaTop = std::uint64_t{0} - kIovaPages / 2 * kPage;
constexpr std::size_t kMaxEntries = 12;
constexpr std::size_t kMaxCopy = 600;

/// The input, as a source of numbers.
class Numbers : public ::Input {
 public:
  using ::Input::Input;
  std::uint64_t number(int bytes) {
    std::uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value = value << 8 | byte();
    return value;
  }
  /// An address near one of the regions, or anywhere.
  std::uint64_t address() {
    const std::uint8_t kind = byte();
    if (kind >= 0xf0) return number(8);
    return kBases[kind % kBases.size()] + number(2) % (2 * kRegionBytes) - kRegionBytes / 2;
  }
  /// A small size mostly, now and then a huge one.
  std::uint64_t size() {
    const std::uint8_t kind = byte();
    if (kind >= 0xf8) return number(8);
    return kind >= 0x80 ? number(2) % kMaxCopy : kind % 40;
  }
  /// An I/O address in the first or the last pages.
  std::uint64_t iova() {
    const std::uint64_t offset = number(2) % (kIovaPages / 2 * kPage);
    return (byte() & 1) != 0 ? kIovaTop + offset : offset;
  }
  std::uint64_t iova_page() {
    const std::uint64_t page = byte() % kIovaPages;
    return page < kIovaPages / 2 ? page * kPage : kIovaTop + (page - kIovaPages / 2) * kPage;
  }
};

/// The regions as plain bytes.
struct Model {
  std::array<std::array<std::byte, kRegionBytes>, kBases.size()> bytes{};

  /// The byte at `address`, or nullptr outside of RAM.
  std::byte* at(std::uint64_t address) {
    for (std::size_t i = 0; i < kBases.size(); ++i) {
      const std::uint64_t offset = address - kBases[i];
      if (offset < kRegionBytes) return &bytes[i][offset];
    }
    return nullptr;
  }
  std::size_t region_of(std::uint64_t address) {
    for (std::size_t i = 0; i < kBases.size(); ++i) {
      if (address - kBases[i] < kRegionBytes) return i;
    }
    return kBases.size();
  }
  /// How many bytes from `address` on are RAM, at most `size`.
  std::uint64_t run(std::uint64_t address, std::uint64_t size) {
    std::uint64_t n = 0;
    while (n < size && address + n >= address && at(address + n) != nullptr) ++n;
    return n;
  }
  /// nullopt when all of the range is RAM.
  std::optional<MemoryError> error_of(std::uint64_t address, std::uint64_t size) {
    if (size == 0) return std::nullopt;
    if (address + (size - 1) < address) return MemoryError::kOverflow;
    const std::uint64_t n = run(address, size);
    if (n == size) return std::nullopt;
    return n == 0 ? MemoryError::kUnmapped : MemoryError::kPartial;
  }
};

/// One answer per page of I/O addresses.
struct IotlbModel {
  struct Page {
    std::uint64_t target;
    Access access;
  };
  std::array<std::optional<Page>, kIovaPages> pages{};

  static std::optional<std::size_t> index_of(std::uint64_t iova) {
    const std::uint64_t page = iova / kPage;
    if (page < kIovaPages / 2) return page;
    if (iova >= kIovaTop) return kIovaPages / 2 + (iova - kIovaTop) / kPage;
    return std::nullopt;
  }
  /// The guest address for one byte, or why there is none.
  Result<std::uint64_t, MemoryError> translate(std::uint64_t iova, Access access) const {
    const auto index = index_of(iova);
    if (!index || !pages[*index]) return fail(MemoryError::kNotTranslated);
    if (!permits(pages[*index]->access, access)) return fail(MemoryError::kNoPermission);
    return pages[*index]->target + iova % kPage;
  }
};

class Machine {
 public:
  explicit Machine(bool tracked) {
    for (std::size_t i = 0; i < kBases.size(); ++i) {
      host_[i].assign(kRegionBytes + 2 * kGuard, std::byte{0xa5});
      const auto inner = std::span<std::byte>(host_[i]).subspan(kGuard, kRegionBytes);
      std::fill(inner.begin(), inner.end(), std::byte{0});
      bitmaps_.push_back(std::make_unique<DirtyBitmap>(kRegionBytes, kPage));
      regions_[i] = {GuestAddress(kBases[i]), inner, tracked ? bitmaps_[i].get() : nullptr};
    }
    tracked_ = tracked;
  }

  void step(Numbers& input) {
    switch (input.byte() % 16) {
      case 0:
        return read_bytes(input);
      case 1:
        return write_bytes(input);
      case 2:
        return read_some(input);
      case 3:
        return write_some(input);
      case 4:
        return object<std::uint64_t>(input);
      case 5:
        return object<std::array<std::uint8_t, 96>>(input);
      case 6:
        return atomic<std::uint32_t>(input);
      case 7:
        return fill(input);
      case 8:
        return walk(input);
      case 9:
        return slices(input);
      case 10:
        return set_mapping(input);
      case 11:
        return invalidate(input);
      case 12:
        return lookup(input);
      case 13:
        return read_iova(input);
      case 14:
        return write_iova(input);
      default:
        return harvest();
    }
  }

  /// Guest memory is what the model says, and nothing beside it changed.
  void verify() const {
    for (std::size_t i = 0; i < kBases.size(); ++i) {
      require(std::memcmp(host_[i].data() + kGuard, model_.bytes[i].data(), kRegionBytes) == 0);
      for (std::size_t j = 0; j < kGuard; ++j) {
        require(host_[i][j] == std::byte{0xa5});
        require(host_[i][kGuard + kRegionBytes + j] == std::byte{0xa5});
      }
    }
  }

 private:
  [[nodiscard]] MemoryView memory() const {
    return MemoryView(std::span<const RegionSpan>(regions_));
  }
  static std::vector<std::byte> pattern(Numbers& input, std::size_t n) {
    std::vector<std::byte> bytes(n);
    std::uint8_t value = input.byte();
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(value += 29);
    return bytes;
  }
  template <class T>
  void agree(const Result<T, MemoryError>& result, std::optional<MemoryError> error) {
    require(result.has_value() == !error.has_value());
    if (error) require(result.error() == *error);
  }
  void put(std::uint64_t address, std::span<const std::byte> bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      *model_.at(address + i) = bytes[i];
      const std::size_t region = model_.region_of(address + i);
      if (tracked_) require(bitmaps_[region]->is_dirty(address + i - kBases[region]));
    }
  }
  std::vector<std::byte> get(std::uint64_t address, std::size_t n) {
    std::vector<std::byte> bytes(n);
    for (std::size_t i = 0; i < n; ++i) bytes[i] = *model_.at(address + i);
    return bytes;
  }

  void read_bytes(Numbers& input) {
    const std::uint64_t address = input.address();
    std::vector<std::byte> out(std::min<std::uint64_t>(input.size(), kMaxCopy), std::byte{0xee});
    const auto error = model_.error_of(address, out.size());
    agree(memory().read_bytes(GuestAddress(address), out), error);
    if (error) {
      for (const std::byte byte : out) require(byte == std::byte{0xee});
    } else {
      require(out == get(address, out.size()));
    }
  }
  void write_bytes(Numbers& input) {
    const std::uint64_t address = input.address();
    const auto in = pattern(input, std::min<std::uint64_t>(input.size(), kMaxCopy));
    const auto error = model_.error_of(address, in.size());
    agree(memory().write_bytes(GuestAddress(address), in), error);
    if (!error) put(address, in);
  }
  void read_some(Numbers& input) {
    const std::uint64_t address = input.address();
    std::vector<std::byte> out(std::min<std::uint64_t>(input.size(), kMaxCopy));
    const std::uint64_t n = model_.run(address, out.size());
    const auto result = memory().read_some(GuestAddress(address), out);
    require(result.has_value() == (n != 0 || out.empty()));
    if (!result) return;
    require(*result == n);
    out.resize(n);
    require(out == get(address, n));
  }
  void write_some(Numbers& input) {
    const std::uint64_t address = input.address();
    const auto in = pattern(input, std::min<std::uint64_t>(input.size(), kMaxCopy));
    const std::uint64_t n = model_.run(address, in.size());
    const auto result = memory().write_some(GuestAddress(address), in);
    require(result.has_value() == (n != 0 || in.empty()));
    if (!result) return;
    require(*result == n);
    put(address, std::span(in).first(n));
  }
  template <GuestValue T>
  void object(Numbers& input) {
    const std::uint64_t address = input.address();
    const auto error = model_.error_of(address, sizeof(T));
    const auto in = pattern(input, sizeof(T));
    T value;
    std::memcpy(&value, in.data(), sizeof(T));
    agree(memory().write(GuestAddress(address), value), error);
    if (!error) put(address, in);
    const auto back = memory().read<T>(GuestAddress(address));
    agree(back, error);
    if (back) require(std::memcmp(&*back, &value, sizeof(T)) == 0);
  }
  template <GuestScalar T>
  void atomic(Numbers& input) {
    const std::uint64_t address = input.address();
    auto error = model_.error_of(address, sizeof(T));
    if (!error && model_.region_of(address) != model_.region_of(address + sizeof(T) - 1)) {
      error = MemoryError::kNotContiguous;
    }
    // The guards keep the regions aligned in the host as they are in the guest.
    const std::size_t region = model_.region_of(address);
    if (!error && reinterpret_cast<std::uintptr_t>(regions_[region].host.data() +
                                                   (address - kBases[region])) %
                          sizeof(T) !=
                      0) {
      error = MemoryError::kMisaligned;
    }
    const auto in = pattern(input, sizeof(T));
    T value;
    std::memcpy(&value, in.data(), sizeof(T));
    agree(memory().store<T>(GuestAddress(address), value), error);
    if (!error) put(address, in);
    const auto back = memory().load<T>(GuestAddress(address));
    agree(back, error);
    if (back) require(*back == value);
  }
  void fill(Numbers& input) {
    const std::uint64_t address = input.address();
    const std::uint64_t size = input.size();
    const std::byte value{input.byte()};
    const auto error = model_.error_of(address, size);
    agree(memory().fill(GuestAddress(address), size, value), error);
    require(memory().check_range(GuestAddress(address), size) == !error.has_value());
    if (!error) put(address, std::vector<std::byte>(size, value));
  }
  void walk(Numbers& input) {
    const std::uint64_t address = input.address();
    const std::uint64_t size = input.size();
    std::uint64_t next = address;
    std::uint64_t left = size;
    SliceWalk pieces = memory().slices(GuestAddress(address), size);
    while (!pieces.done()) {
      const auto piece = pieces.next();
      if (!piece) {
        require(pieces.done());
        require(model_.at(next) == nullptr);
        require(piece.error() == (left == size ? MemoryError::kUnmapped : MemoryError::kPartial));
        return;
      }
      require(!piece->empty() && piece->size() <= left);
      std::vector<std::byte> out(piece->size());
      require(piece->copy_to(out) == out.size());
      require(out == get(next, out.size()));
      next += piece->size();
      left -= piece->size();
    }
    require(left == 0);
  }
  void slices(Numbers& input) {
    const std::uint64_t address = input.address();
    const std::uint64_t size = input.size();
    const std::uint64_t offset = input.size();
    const std::uint64_t count = input.size();
    const auto slice = memory().slice(GuestAddress(address), size);
    auto error = model_.error_of(address, size);
    if (!error && size != 0 && model_.region_of(address) != model_.region_of(address + size - 1)) {
      error = MemoryError::kNotContiguous;
    }
    agree(slice, error);
    if (!slice) return;
    const auto part = slice->subslice(offset, count);
    require(part.has_value() == (offset <= size && count <= size - offset));
    if (!part) return;
    const auto in = pattern(input, count);
    require(part->copy_from(in) == count);
    if (count != 0) put(address + offset, in);
    require(slice->read<std::uint16_t>(offset).has_value() == (size - offset >= 2));
  }
  void harvest() {
    for (auto& bitmap : bitmaps_) {
      std::array<std::uint64_t, 1> bits{};
      bitmap->get_and_reset(bits);
      require(!bitmap->is_dirty(0) && bits[0] >> (kRegionBytes / kPage) == 0);
    }
  }

  void set_mapping(Numbers& input) {
    const std::uint64_t start = input.iova_page();
    const std::uint64_t pages = input.byte() % 8;
    const std::uint64_t target = input.address() & ~(kPage - 1);
    const auto access = static_cast<Access>(input.byte() % 4);
    const std::uint64_t bytes = pages * kPage;
    const auto result = translator_.set_mapping({Iova(start), bytes}, GuestAddress(target), access);
    if (!result) {
      if (result.error() == IotlbError::kOverflow) {
        require(bytes != 0 && (start + (bytes - 1) < start || target + (bytes - 1) < target));
      }
      return;
    }
    for (std::uint64_t i = 0; i < pages; ++i) {
      const auto index = IotlbModel::index_of(start + i * kPage);
      // The low window may be left at its end; what is beyond is unmapped again.
      if (index) {
        iotlb_.pages[*index] = IotlbModel::Page{target + i * kPage, access};
      } else {
        translator_.invalidate({Iova(start + i * kPage), kPage});
      }
    }
  }
  void invalidate(Numbers& input) {
    const std::uint64_t start = input.iova_page();
    const std::uint64_t pages = input.byte() % 16;
    translator_.invalidate({Iova(start), pages * kPage});
    for (std::uint64_t i = 0; i < pages; ++i) {
      const std::uint64_t at = start + i * kPage;
      if (at < start) break;
      if (const auto index = IotlbModel::index_of(at)) iotlb_.pages[*index].reset();
    }
    resync();
  }
  /// A full table may have dropped more than it was asked to; never something else.
  void resync() {
    for (std::uint64_t i = 0; i < kIovaPages; ++i) {
      const std::uint64_t iova =
          i < kIovaPages / 2 ? i * kPage : kIovaTop + (i - kIovaPages / 2) * kPage;
      const auto found = translator_.translate(Iova(iova), 1, Access::kNone);
      if (found) {
        require(iotlb_.pages[i] && iotlb_.pages[i]->target == found->address.raw());
      } else {
        iotlb_.pages[i].reset();
      }
    }
  }
  void lookup(Numbers& input) {
    const std::uint64_t iova = input.iova();
    const std::uint64_t size = input.size() % kMaxCopy;
    const auto access = static_cast<Access>(input.byte() % 4);
    const IotlbFaults faults = translator_.faults({Iova(iova), size}, access);
    std::uint64_t missing = 0;
    std::uint64_t denied = 0;
    for (std::uint64_t i = 0; i < size && iova + i >= iova; ++i) {
      const auto byte = iotlb_.translate(iova + i, access);
      if (byte) continue;
      (byte.error() == MemoryError::kNotTranslated ? missing : denied)++;
    }
    const auto sum = [&](const std::vector<IovaRange>& ranges) {
      std::uint64_t total = 0;
      for (const IovaRange& range : ranges) {
        require(range.bytes != 0 && range.start.raw() >= iova);
        total += range.bytes;
      }
      return total;
    };
    require(sum(faults.missing) == missing && sum(faults.denied) == denied);
    require(faults.missing.size() + faults.denied.size() <= 2 * kMaxEntries + 1);
    if (size == 0) return;
    const auto segment = translator_.translate(Iova(iova), size, access);
    const auto first = iotlb_.translate(iova, access);
    if (iova + (size - 1) < iova) {
      require(segment.error() == MemoryError::kOverflow);
    } else if (!first) {
      require(segment.error() == first.error());
    } else {
      require(segment->address.raw() == *first && segment->bytes >= 1 && segment->bytes <= size);
    }
  }
  /// Where each byte of a range is in the guest; an error when some is nowhere.
  std::optional<std::vector<std::uint64_t>> addresses(std::uint64_t iova, std::uint64_t size,
                                                      Access access) {
    std::vector<std::uint64_t> out;
    for (std::uint64_t i = 0; i < size; ++i) {
      if (iova + i < iova) return std::nullopt;
      const auto byte = iotlb_.translate(iova + i, access);
      if (!byte || model_.at(*byte) == nullptr) return std::nullopt;
      out.push_back(*byte);
    }
    return out;
  }
  void read_iova(Numbers& input) {
    const std::uint64_t iova = input.iova();
    std::vector<std::byte> out(input.size() % kMaxCopy);
    const auto where = addresses(iova, out.size(), Access::kRead);
    const IovaView view(memory(), translator_);
    require(view.read_bytes(Iova(iova), out).has_value() == where.has_value());
    if (!where) return;
    for (std::size_t i = 0; i < out.size(); ++i) require(out[i] == *model_.at((*where)[i]));
  }
  void write_iova(Numbers& input) {
    const std::uint64_t iova = input.iova();
    const auto in = pattern(input, input.size() % kMaxCopy);
    const auto where = addresses(iova, in.size(), Access::kWrite);
    const IovaView view(memory(), translator_);
    require(view.write_bytes(Iova(iova), in).has_value() == where.has_value());
    if (!where) return;
    // In order, as two pages may lead to one place.
    for (std::size_t i = 0; i < in.size(); ++i) *model_.at((*where)[i]) = in[i];
  }

  std::array<std::vector<std::byte>, kBases.size()> host_;
  std::vector<std::unique_ptr<DirtyBitmap>> bitmaps_;
  std::array<RegionSpan, kBases.size()> regions_;
  Model model_;
  IotlbTranslator translator_{kMaxEntries};
  IotlbModel iotlb_;
  bool tracked_ = false;
};

}  // namespace
}  // namespace vmm::vm_memory

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmm::vm_memory;
  Numbers input(data, size);
  Machine machine((input.byte() & 1) != 0);
  for (int i = 0; i < 64 && !input.empty(); ++i) {
    machine.step(input);
    machine.verify();
  }
  return 0;
}

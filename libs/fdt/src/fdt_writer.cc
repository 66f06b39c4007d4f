// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The format: https://github.com/devicetree-org/devicetree-specification, chapter 5.

#include "vmm/fdt/fdt_writer.h"

#include <algorithm>
#include <cstring>

#include "vmm/base/checked.h"
#include "vmm/base/endian.h"

namespace vmm::fdt {
namespace {

constexpr std::uint32_t kMagic = 0xd00dfeed;
constexpr std::uint32_t kVersion = 17;
constexpr std::uint32_t kLastCompatible = 16;
constexpr std::size_t kHeaderBytes = 40;
constexpr std::size_t kReservationBytes = 16;
constexpr std::uint32_t kBeginNode = 1;
constexpr std::uint32_t kEndNode = 2;
constexpr std::uint32_t kProp = 3;
constexpr std::uint32_t kEnd = 9;
constexpr std::size_t kMaxName = 31;
constexpr std::size_t kFirstNames = 64;    // places in the table of names at the start
constexpr std::size_t kFirstBytes = 4096;  // of the blob

enum CharClass : std::uint8_t { kNodeChar = 1, kPropertyChar = 2, kLetter = 4 };

constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> classes{};
  const auto add = [&classes](std::string_view characters, int bits) {
    for (const char c : characters) {
      auto& entry = classes[static_cast<unsigned char>(c)];
      entry = static_cast<std::uint8_t>(entry | bits);
    }
  };
  const std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  add(letters, kNodeChar | kPropertyChar | kLetter);
  add("0123456789,._+-", kNodeChar | kPropertyChar);
  add("?#", kPropertyChar);
  return classes;
}

constexpr auto kClasses = make_classes();

bool has_class(char c, CharClass wanted) {
  return (kClasses[static_cast<unsigned char>(c)] & wanted) != 0;
}

/// The node under the root that gives overlays the paths of labels; made outside the naming rules.
constexpr std::string_view kSymbols = "__symbols__";

/// A base of 1 to 31 characters that begins with a letter, and possibly '@' and a unit address.
bool valid_node_name(std::string_view name) {
  if (name.empty() || !has_class(name[0], kLetter)) return false;
  std::size_t i = 1;
  while (i < name.size() && has_class(name[i], kNodeChar)) ++i;
  if (i > kMaxName) return false;
  if (i == name.size()) return true;
  if (name[i] != '@' || i + 1 == name.size()) return false;
  while (++i < name.size()) {
    if (!has_class(name[i], kNodeChar)) return false;
  }
  return true;
}

/// FNV-1a of a valid property name; 0 when it is not valid.
std::uint32_t property_name_hash(std::string_view name) {
  if (name.empty() || name.size() > kMaxName) return 0;
  std::uint32_t hash = 2166136261u;
  unsigned all = kPropertyChar;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    hash = (hash ^ byte) * 16777619u;
    all &= kClasses[byte];
  }
  if (all == 0) return 0;
  return hash | 1;
}

void store_be32(std::byte* to, std::uint32_t value) {
  const Be32 raw(value);
  std::memcpy(to, &raw, sizeof(raw));
}

void store_be64(std::byte* to, std::uint64_t value) {
  const Be64 raw(value);
  std::memcpy(to, &raw, sizeof(raw));
}

constexpr std::size_t padded(std::size_t bytes) { return (bytes + 3) & ~std::size_t{3}; }

}  // namespace

FdtWriter::FdtWriter(const Options& options)
    : max_bytes_(std::min<std::size_t>(options.max_bytes, UINT32_MAX)),
      names_(kFirstNames),
      boot_cpu_(options.boot_cpu) {
  blob_.resize(std::min(kFirstBytes, max_bytes_));
  strings_.reserve(512);
  append(kHeaderBytes);
  write_reservations(options.reservations);
}

void FdtWriter::write_reservations(std::span<const Reservation> reservations) {
  std::vector<Reservation> sorted(reservations.begin(), reservations.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const Reservation& a, const Reservation& b) { return a.address < b.address; });
  std::uint64_t free_from = 0;
  for (const Reservation& r : sorted) {
    const auto end = checked_add(r.address, r.bytes);
    if (r.bytes == 0 || !end) return stop(FdtError::kInvalidReservation);
    if (r.address < free_from) return stop(FdtError::kOverlapReservations);
    free_from = *end;
    std::byte* const to = append(kReservationBytes);
    if (to == nullptr) return;
    store_be64(to, r.address);
    store_be64(to + 8, r.bytes);
  }
  if (std::byte* const to = append(kReservationBytes)) std::memset(to, 0, kReservationBytes);
  structure_ = used_;
}

/// `bytes` more of the blob, not initialized; nullptr when it is full.
std::byte* FdtWriter::append(std::size_t bytes) {
  if (bytes > blob_.size() - used_) [[unlikely]] {
    if (bytes > max_bytes_ - used_) {
      stop(FdtError::kTooLarge);
      return nullptr;
    }
    blob_.resize(std::min(max_bytes_, std::max(blob_.size() * 2, used_ + bytes)));
  }
  std::byte* const at = blob_.data() + used_;
  used_ += bytes;
  return at;
}

Node FdtWriter::root() {
  if (has_root_) stop(FdtError::kSecondRoot);
  if (ok_) begin({});
  has_root_ = true;
  return {this, 1};
}

void FdtWriter::begin(std::string_view name) {
  if (depth_ == kMaxDepth) return stop(FdtError::kTooDeep);
  const std::size_t text = padded(name.size() + 1);
  std::byte* const to = append(4 + text);
  if (to == nullptr) return;
  store_be32(to, kBeginNode);
  std::memset(to + text, 0, 4);  // the last word of the text, NUL and padding included
  if (!name.empty()) std::memcpy(to + 4, name.data(), name.size());
  if (depth_ != 0) had_child_ |= std::uint64_t{1} << (depth_ - 1);
  had_child_ &= ~(std::uint64_t{1} << depth_);
  ++depth_;
}

void FdtWriter::end(std::size_t depth) {
  if (!ok_) return;
  if (depth != depth_) return stop(FdtError::kNotInnermost);
  if (std::byte* const to = append(4)) store_be32(to, kEndNode);
  --depth_;
}

std::byte* FdtWriter::property(std::size_t depth, std::string_view name, std::size_t bytes) {
  if (!ok_) return nullptr;
  const std::uint32_t hash = property_name_hash(name);
  if (depth != depth_) {
    stop(FdtError::kNotInnermost);
  } else if ((had_child_ >> (depth - 1) & 1) != 0) {
    stop(FdtError::kPropertyAfterChild);
  } else if (hash == 0) {
    stop(name.find('\0') == std::string_view::npos ? FdtError::kPropertyName
                                                   : FdtError::kInvalidString);
  } else if (bytes > max_bytes_) {
    stop(FdtError::kTooLarge);
  }
  if (!ok_) return nullptr;
  std::byte* const to = append(12 + padded(bytes));
  if (to == nullptr) return nullptr;
  store_be32(to, kProp);
  store_be32(to + 4, static_cast<std::uint32_t>(bytes));
  store_be32(to + 8, intern(name, hash));
  if (bytes % 4 != 0) std::memset(to + 12 + padded(bytes) - 4, 0, 4);
  return to + 12;
}

/// The offset of `name` in the strings, where each name stands once.
std::uint32_t FdtWriter::intern(std::string_view name, std::uint32_t hash) {
  const std::size_t mask = names_.size() - 1;
  std::size_t place = hash & mask;
  for (; names_[place].offset != 0; place = (place + 1) & mask) {
    if (names_[place].hash != hash) continue;
    const std::uint32_t offset = names_[place].offset - 1;
    // Names hold no NUL, so a match up to the stored NUL is a match of the whole.
    const char* const stored = strings_.data() + offset;
    if (std::memcmp(stored, name.data(), std::min(name.size(), strings_.size() - offset)) == 0 &&
        stored[name.size()] == '\0') {
      return offset;
    }
  }
  const auto offset = static_cast<std::uint32_t>(strings_.size());
  strings_.insert(strings_.end(), name.begin(), name.end());
  strings_.push_back('\0');
  names_[place] = {.hash = hash, .offset = offset + 1};
  if (++name_count_ * 2 > names_.size()) rehash();
  return offset;
}

void FdtWriter::rehash() {
  std::vector<Name> larger(names_.size() * 2);
  const std::size_t mask = larger.size() - 1;
  for (const Name& name : names_) {
    if (name.offset == 0) continue;
    std::size_t place = name.hash & mask;
    while (larger[place].offset != 0) place = (place + 1) & mask;
    larger[place] = name;
  }
  names_ = std::move(larger);
}

void FdtWriter::phandle(std::size_t depth, std::uint32_t value) {
  if (!ok_) return;
  if (value == 0 || value == UINT32_MAX) return stop(FdtError::kInvalidPhandle);
  const auto at = std::lower_bound(phandles_.begin(), phandles_.end(), value);
  if (at != phandles_.end() && *at == value) return stop(FdtError::kDuplicatePhandle);
  phandles_.insert(at, value);
  if (std::byte* const to = property(depth, "phandle", 4)) store_be32(to, value);
}

Result<std::vector<std::byte>, FdtError> FdtWriter::finish() {
  if (ok_ && depth_ != 0) stop(FdtError::kUnclosedNode);
  if (ok_ && !has_root_) stop(FdtError::kNoRoot);
  if (std::byte* const to = ok_ ? append(4) : nullptr) store_be32(to, kEnd);
  const std::size_t strings = used_;
  if (std::byte* const to = ok_ ? append(strings_.size()) : nullptr) {
    std::copy(strings_.begin(), strings_.end(), reinterpret_cast<char*>(to));
  }
  if (!ok_) return fail(error_);
  const std::uint32_t header[] = {
      kMagic,
      static_cast<std::uint32_t>(used_),
      static_cast<std::uint32_t>(structure_),
      static_cast<std::uint32_t>(strings),
      kHeaderBytes,
      kVersion,
      kLastCompatible,
      boot_cpu_,
      static_cast<std::uint32_t>(strings_.size()),
      static_cast<std::uint32_t>(strings - structure_),
  };
  static_assert(sizeof(header) == kHeaderBytes);
  for (std::size_t i = 0; i < std::size(header); ++i) store_be32(blob_.data() + 4 * i, header[i]);
  blob_.resize(used_);
  stop(FdtError::kFinished);
  return std::move(blob_);
}

Node Node::child(std::string_view name) {
  if (writer_->ok_) {
    if (depth_ != writer_->depth_) {
      writer_->stop(FdtError::kNotInnermost);
    } else if (!valid_node_name(name) && !(depth_ == 1 && name == kSymbols)) {
      writer_->stop(name.find('\0') == std::string_view::npos ? FdtError::kNodeName
                                                              : FdtError::kInvalidString);
    } else {
      writer_->begin(name);
    }
  }
  return {writer_, depth_ + 1};
}

void Node::flag(std::string_view name) { writer_->property(depth_, name, 0); }

void Node::u32(std::string_view name, std::uint32_t value) {
  if (std::byte* const to = writer_->property(depth_, name, 4)) store_be32(to, value);
}

void Node::u64(std::string_view name, std::uint64_t value) {
  if (std::byte* const to = writer_->property(depth_, name, 8)) store_be64(to, value);
}

void Node::string(std::string_view name, std::string_view value) {
  strings(name, std::span(&value, 1));
}

void Node::strings(std::string_view name, std::span<const std::string_view> values) {
  std::size_t bytes = 0;
  for (const std::string_view value : values) {
    if (!value.empty() && std::memchr(value.data(), 0, value.size()) != nullptr) {
      return writer_->stop(FdtError::kInvalidString);
    }
    bytes += value.size() + 1;
  }
  std::byte* to = writer_->property(depth_, name, bytes);
  if (to == nullptr) return;
  for (const std::string_view value : values) {
    if (!value.empty()) std::memcpy(to, value.data(), value.size());
    to += value.size();
    *to++ = std::byte{0};
  }
}

void Node::cells(std::string_view name, std::span<const std::uint32_t> values) {
  std::byte* const to = writer_->property(depth_, name, values.size_bytes());
  if (to == nullptr) return;
  for (std::size_t i = 0; i < values.size(); ++i) store_be32(to + 4 * i, values[i]);
}

void Node::cells64(std::string_view name, std::span<const std::uint64_t> values) {
  std::byte* const to = writer_->property(depth_, name, values.size_bytes());
  if (to == nullptr) return;
  for (std::size_t i = 0; i < values.size(); ++i) store_be64(to + 8 * i, values[i]);
}

void Node::bytes(std::string_view name, std::span<const std::byte> value) {
  std::byte* const to = writer_->property(depth_, name, value.size());
  if (to != nullptr && !value.empty()) std::memcpy(to, value.data(), value.size());
}

}  // namespace vmm::fdt

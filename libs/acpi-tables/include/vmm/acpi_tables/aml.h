// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A one-pass writer of AML. Spec: ACPI 6.5, chapter 20.
//
//   Aml aml(out);
//   {
//     const auto device = aml.device("COM1");
//     aml.name("_HID", EisaId{"PNP0501"});
//     aml.name("_UID", 0u);
//     {
//       const auto method = aml.method("_STA");
//       aml.put(returns(0xfu));
//     }
//   }

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>

#include "vmm/acpi_tables/table_buffer.h"

namespace vmm::acpi_tables {

/// A name or path: segments of exactly four characters joined by '.', after an optional '\' or
/// any number of '^'.
struct Path {
  std::string_view text;  ///< borrowed until the term is written; errors: kBadName
};
/// Local0 to Local7.
struct Local {
  std::uint8_t number;  ///< up to 7, else kBadOperand
};
/// Arg0 to Arg6.
struct Arg {
  std::uint8_t number;  ///< up to 6, else kBadOperand
};
/// A device id such as "PNP0501", as the integer that ACPI makes of it (19.3.4).
struct EisaId {
  std::string_view text;  ///< seven characters, else kBadEisaId
};
/// A UUID in text form, as the 16-byte buffer that ToUUID makes of it (19.6.142).
struct Uuid {
  std::string_view text;  ///< 36 characters, else kBadUuid
};
/// All bits set.
struct Ones {};
/// The target of an operation whose result is not stored.
struct NoTarget {};
/// The debug object.
struct Debug {};
/// A term that is an opcode and then its operands; made by the functions of aml_terms.h.
template <class... Operands>
struct Expression {
  std::uint16_t opcode;  ///< two bytes, the first of them in the upper half; 0: none at all
  std::tuple<Operands...> operands;  ///< written in this order
};

/// How many bytes encode the length of a package with `content` bytes after the length; 0 when no
/// encoding can (20.2.4).
[[nodiscard]] constexpr std::size_t package_length_bytes(std::size_t content) {
  if (content < (std::size_t{1} << 6) - 1) return 1;
  if (content < (std::size_t{1} << 12) - 2) return 2;
  if (content < (std::size_t{1} << 20) - 3) return 3;
  if (content < (std::size_t{1} << 28) - 4) return 4;
  return 0;
}

/// An open package (a device, a method, an If...); its end closes it. Blocks close in the reverse
/// order of their opening, else kUnbalanced.
class [[nodiscard]] Block {
 public:
  /// Leaves `other` closed.
  Block(Block&& other) noexcept
      : out_(std::exchange(other.out_, nullptr)),
        start_(other.start_),
        level_(other.level_),
        reserved_(other.reserved_) {}
  Block& operator=(Block&&) = delete;
  ~Block() { close(); }
  /// Ends the package here instead of at the end of the object's life; further calls do nothing.
  /// Errors: kUnbalanced; kBadPackageLength from 2^28 bytes on.
  void close();
  /// Whether it ended, or was moved from.
  [[nodiscard]] bool is_closed() const { return out_ == nullptr; }

 protected:
  friend class Aml;
  /// Opens a package and keeps `reserved` bytes (1 to 4) for its length.
  Block(TableBuffer& out, std::size_t reserved);

  TableBuffer* out_;       ///< null: closed
  std::size_t start_;      ///< of the package length
  std::uint32_t level_;    ///< of nesting
  std::uint8_t reserved_;  ///< bytes kept for the length
};

/// The fields of an operation region (19.6.48).
class [[nodiscard]] FieldList : public Block {
 public:
  /// The next `bits` bits, named. Errors: kBadName; kBadPackageLength from 2^28 bits on.
  void named(std::string_view segment, std::uint32_t bits);
  /// Skips `bits` bits.
  void reserved(std::uint32_t bits);

 private:
  friend class Aml;
  using Block::Block;
};

/// The address spaces of DefOpRegion.
enum class RegionSpace : std::uint8_t {
  kSystemMemory = 0,
  kSystemIo = 1,
  kPciConfig = 2,
  kEmbeddedControl = 3,
  kGenericSerialBus = 9,
};
/// The widths of accesses to a field (19.6.48, AccessType).
enum class FieldAccess : std::uint8_t { kAny, kByte, kWord, kDword, kQword, kBuffer };
/// What a write makes of the bits beside the field (19.6.48, UpdateRule).
enum class FieldUpdate : std::uint8_t { kPreserve, kWriteAsOnes, kWriteAsZeros };
/// How the fields of a list are accessed (19.6.48).
struct FieldRules {
  /// @{
  /// The width; the global lock; the bits beside the field.
  FieldAccess access = FieldAccess::kAny;
  bool lock = false;
  FieldUpdate update = FieldUpdate::kPreserve;
  /// @}
};
/// The flags of a method.
struct MethodRules {
  std::uint8_t arguments = 0;   ///< up to 7
  bool serialized = false;      ///< one thread at a time
  std::uint8_t sync_level = 0;  ///< up to 15
};

class Package;
class Resources;

/// Writes AML terms into a buffer, in the order of the calls. Errors stick to the buffer.
class Aml {
 public:
  /// Writes to the end of `out`, which must outlive this object.
  explicit Aml(TableBuffer& out) : out_(&out) {}
  /// The buffer that is written to.
  [[nodiscard]] TableBuffer& out() const { return *out_; }

  // Terms, one after another.
  template <class... Terms>
  /// Writes each term: an integer, text, a Path, EisaId, Uuid, Local, Arg, an Expression, bytes, or
  /// a callable that writes by itself. Errors: those of the terms.
  void put(const Terms&... terms) {
    (term(terms), ...);
  }

  // Named objects.
  template <class Value>
  /// A name with its value. Errors: kBadName, and those of the value.
  void name(std::string_view path, const Value& value) {
    name_op(path);
    term(value);
  }
  /// A name whose value is what follows: a package, a buffer or resources.
  void name_op(std::string_view path);
  /// @{
  /// Alias, Mutex and Event. Errors: kBadName; kBadOperand for a sync level above 15.
  void alias(std::string_view source, std::string_view path);
  void mutex(std::string_view path, std::uint8_t sync_level = 0);
  void event(std::string_view path);
  /// @}
  template <class Offset, class Length>
  /// An operation region: offset and length in bytes, as terms. Errors: kBadName.
  void operation_region(std::string_view path, RegionSpace space, const Offset& offset,
                        const Length& length) {
    region_op(path, space);
    term(offset);
    term(length);
  }
  template <class Source, class Bit, class Count>
  /// A field in a buffer (CreateField): the index of its first bit and the number of bits, as
  /// terms. Errors: kBadName.
  void create_field(const Source& source, const Bit& bit, const Count& bits,
                    std::string_view path) {
    opcode(0x5b13);
    put(source, bit, bits, Path{path});
  }

  // Blocks: open until the returned object ends.
  /// @{
  /// Each writes what stands in front of a block and opens it (20.2.5, 20.2.5.3). Errors: kBadName;
  /// kBadOperand for more than 7 arguments or a sync level above 15; kBadPackageLength at the
  /// block's end.
  Block scope(std::string_view path);
  Block device(std::string_view path);
  Block thermal_zone(std::string_view path);
  Block method(std::string_view path, const MethodRules& rules = {});
  Block power_resource(std::string_view path, std::uint8_t level, std::uint16_t order);
  FieldList field(std::string_view region, const FieldRules& rules);
  FieldList index_field(std::string_view index, std::string_view data, const FieldRules& rules);
  Block if_(const auto& predicate) { return open_with(0xa0, predicate); }
  Block else_() { return open(0xa1, 1); }
  Block while_(const auto& predicate) { return open_with(0xa2, predicate); }
  Package package();
  /// @}
  /// @{
  /// A buffer of so many bytes and a package of so many elements as a term says when it is run;
  /// what they begin with follows, and the rest is 0, or not there (20.2.5.4).
  Block buffer_of(const auto& bytes) { return open_with(0x11, bytes); }
  Block package_of(const auto& elements) { return open_with(0x13, elements); }
  /// @}
  /// A buffer that is a resource template; for a name, after name_op(). See Resources.
  Resources resources();

  // Single terms.
  void integer(std::uint64_t value);    ///< in its shortest form
  void string(std::string_view text);   ///< errors: kBadString
  void path(std::string_view text);     ///< errors: kBadName, kTooManyElements
  void eisa_id(std::string_view text);  ///< errors: kBadEisaId
  void uuid(std::string_view text);     ///< errors: kBadUuid
  /// A buffer of these bytes (20.2.5.4).
  void buffer(std::span<const std::byte> content);
  /// An opcode without operands: one byte below 0x100, else two, the upper half first.
  void opcode(std::uint16_t code);

 private:
  friend class Package;
  void term(std::unsigned_integral auto value) { integer(value); }
  void term(const char* text) { string(text); }
  void term(std::string_view text) { string(text); }
  void term(const Path& value) { path(value.text); }
  void term(const EisaId& value) { eisa_id(value.text); }
  void term(const Uuid& value) { uuid(value.text); }
  void term(std::span<const std::byte> content) { buffer(content); }
  void term(Local value);
  void term(Arg value);
  void term(Ones) { out_->put(std::uint8_t{0xff}); }
  void term(NoTarget) { out_->put(std::uint8_t{0}); }
  void term(Debug) { opcode(0x5b31); }
  template <class... Operands>
  void term(const Expression<Operands...>& expression) {
    if (expression.opcode != 0) opcode(expression.opcode);
    std::apply(
        [self = this](const auto&... operand) {
          (void)self;  // there may be no operand
          (self->term(operand), ...);
        },
        expression.operands);
  }
  /// A callable writes its terms itself.
  template <std::invocable<Aml&> Writer>
  void term(const Writer& writer) {
    writer(*this);
  }

  Block open(std::uint16_t code, std::size_t reserved);
  Block open_with(std::uint16_t code, const auto& operand) {
    Block block = open(code, 1);
    term(operand);
    return block;
  }
  void region_op(std::string_view path, RegionSpace space);

  TableBuffer* out_;
};

/// A package whose elements are counted as they are added (20.2.5.4); becomes a VarPackage when
/// there are more than 255. Errors: kTooManyElements above 65535.
class [[nodiscard]] Package {
 public:
  /// Leaves `other` closed.
  Package(Package&& other) noexcept = default;
  ~Package() { close(); }
  template <class Term>
  /// Adds an element. Errors: those of the term.
  void add(const Term& element) {
    ++count_;
    aml_.put(element);
  }
  /// Ends the package here; further calls do nothing. Errors: as for Block::close(), and
  /// kTooManyElements.
  void close();

 private:
  friend class Aml;
  explicit Package(Aml& aml);

  Aml aml_;
  Block block_;
  std::size_t opcode_at_;
  std::uint32_t count_ = 0;
};

}  // namespace vmm::acpi_tables

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// AML operations as values: aml.put(store(add(Arg{0}, 1u, NoTarget{}), Path{"COUN"})).
// Operands are integers, strings, Path, Local, Arg and other terms. Strings and paths are
// borrowed: they must live until the term is put. Spec: ACPI 6.5, 20.2.5.

#include "vmm/acpi_tables/aml.h"

namespace vmm::acpi_tables {

/// Any operation by its opcode.
template <class... Operands>
[[nodiscard]] constexpr Expression<Operands...> operation(std::uint16_t opcode,
                                                          Operands... operands) {
  return {opcode, {operands...}};
}

/// Calls the method at `method` with up to seven arguments.
template <class... Arguments>
  requires(sizeof...(Arguments) <= 7)
[[nodiscard]] constexpr auto call(Path method, Arguments... arguments) {
  return operation(0, method, arguments...);
}

/// @{
/// Statements: 20.2.5.3.
[[nodiscard]] constexpr auto returns(auto value) { return operation(0xa4, value); }
[[nodiscard]] constexpr auto breaks() { return operation(0xa5); }
[[nodiscard]] constexpr auto continues() { return operation(0x9f); }
[[nodiscard]] constexpr auto noop() { return operation(0xa3); }
[[nodiscard]] constexpr auto notify(auto object, auto value) {
  return operation(0x86, object, value);
}
[[nodiscard]] constexpr auto sleep_ms(auto milliseconds) { return operation(0x5b22, milliseconds); }
[[nodiscard]] constexpr auto stall_us(auto microseconds) { return operation(0x5b21, microseconds); }
[[nodiscard]] constexpr auto store(auto value, auto to) { return operation(0x70, value, to); }
[[nodiscard]] constexpr auto copy_object(auto value, auto to) { return operation(0x9d, value, to); }
/// @}
/// Waits at most `milliseconds` (0xffff: for ever); true when the time was up.
[[nodiscard]] constexpr auto acquire(Path mutex, std::uint16_t milliseconds) {
  return operation(0x5b23, mutex, [milliseconds](Aml& aml) { aml.out().put(milliseconds); });
}
/// Gives the mutex back.
[[nodiscard]] constexpr auto release(Path mutex) { return operation(0x5b27, mutex); }
/// @{
/// Events: what is signalled ends one wait, and a reset forgets what was signalled. A wait is true
/// when its `milliseconds` (0xffff: for ever) were up.
[[nodiscard]] constexpr auto signal(Path event) { return operation(0x5b24, event); }
[[nodiscard]] constexpr auto wait(Path event, auto milliseconds) {
  return operation(0x5b25, event, milliseconds);
}
[[nodiscard]] constexpr auto reset(Path event) { return operation(0x5b26, event); }
/// @}
/// The machine's time in units of 100 ns, from some start on.
[[nodiscard]] constexpr auto timer() { return operation(0x5b33); }

/// @{
/// Arithmetic (20.2.5.4); the last operand takes the result and may be NoTarget.
[[nodiscard]] constexpr auto add(auto a, auto b, auto to) { return operation(0x72, a, b, to); }
[[nodiscard]] constexpr auto subtract(auto a, auto b, auto to) { return operation(0x74, a, b, to); }
[[nodiscard]] constexpr auto multiply(auto a, auto b, auto to) { return operation(0x77, a, b, to); }
[[nodiscard]] constexpr auto divide(auto a, auto b, auto rest, auto to) {
  return operation(0x78, a, b, rest, to);
}
[[nodiscard]] constexpr auto modulo(auto a, auto b, auto to) { return operation(0x85, a, b, to); }
[[nodiscard]] constexpr auto shift_left(auto a, auto n, auto to) {
  return operation(0x79, a, n, to);
}
[[nodiscard]] constexpr auto shift_right(auto a, auto n, auto to) {
  return operation(0x7a, a, n, to);
}
[[nodiscard]] constexpr auto bit_and(auto a, auto b, auto to) { return operation(0x7b, a, b, to); }
[[nodiscard]] constexpr auto bit_nand(auto a, auto b, auto to) { return operation(0x7c, a, b, to); }
[[nodiscard]] constexpr auto bit_or(auto a, auto b, auto to) { return operation(0x7d, a, b, to); }
[[nodiscard]] constexpr auto bit_nor(auto a, auto b, auto to) { return operation(0x7e, a, b, to); }
[[nodiscard]] constexpr auto bit_xor(auto a, auto b, auto to) { return operation(0x7f, a, b, to); }
[[nodiscard]] constexpr auto bit_not(auto a, auto to) { return operation(0x80, a, to); }
[[nodiscard]] constexpr auto find_set_left_bit(auto a, auto to) { return operation(0x81, a, to); }
[[nodiscard]] constexpr auto find_set_right_bit(auto a, auto to) { return operation(0x82, a, to); }
/// @}
/// @{
/// Changes an object in place; its value is the new one.
[[nodiscard]] constexpr auto increment(auto object) { return operation(0x75, object); }
[[nodiscard]] constexpr auto decrement(auto object) { return operation(0x76, object); }
/// @}

/// @{
/// Logic and comparison: all bits set for true, 0 for false (20.2.5.4).
[[nodiscard]] constexpr auto logical_and(auto a, auto b) { return operation(0x90, a, b); }
[[nodiscard]] constexpr auto logical_or(auto a, auto b) { return operation(0x91, a, b); }
[[nodiscard]] constexpr auto logical_not(auto a) { return operation(0x92, a); }
[[nodiscard]] constexpr auto equal(auto a, auto b) { return operation(0x93, a, b); }
[[nodiscard]] constexpr auto greater(auto a, auto b) { return operation(0x94, a, b); }
[[nodiscard]] constexpr auto less(auto a, auto b) { return operation(0x95, a, b); }
[[nodiscard]] constexpr auto not_equal(auto a, auto b) { return operation(0x9293, a, b); }
[[nodiscard]] constexpr auto less_or_equal(auto a, auto b) { return operation(0x9294, a, b); }
[[nodiscard]] constexpr auto greater_or_equal(auto a, auto b) { return operation(0x9295, a, b); }
/// @}

/// @{
/// Objects and conversions; `to` takes the result and may be NoTarget (20.2.5.4).
[[nodiscard]] constexpr auto size_of(auto object) { return operation(0x87, object); }
[[nodiscard]] constexpr auto reference_of(auto object) { return operation(0x71, object); }
/// True when there is such an object, and then `to` refers to it.
[[nodiscard]] constexpr auto reference_if_there(auto object, auto to) {
  return operation(0x5b12, object, to);
}
[[nodiscard]] constexpr auto dereference(auto object) { return operation(0x83, object); }
[[nodiscard]] constexpr auto object_type(auto object) { return operation(0x8e, object); }
[[nodiscard]] constexpr auto index(auto object, auto at, auto to) {
  return operation(0x88, object, at, to);
}
[[nodiscard]] constexpr auto mid(auto object, auto at, auto length, auto to) {
  return operation(0x9e, object, at, length, to);
}
[[nodiscard]] constexpr auto concatenate(auto a, auto b, auto to) {
  return operation(0x73, a, b, to);
}
[[nodiscard]] constexpr auto concatenate_resources(auto a, auto b, auto to) {
  return operation(0x84, a, b, to);
}
[[nodiscard]] constexpr auto to_buffer(auto value, auto to) { return operation(0x96, value, to); }
[[nodiscard]] constexpr auto to_decimal_string(auto value, auto to) {
  return operation(0x97, value, to);
}
[[nodiscard]] constexpr auto to_hex_string(auto value, auto to) {
  return operation(0x98, value, to);
}
[[nodiscard]] constexpr auto to_integer(auto value, auto to) { return operation(0x99, value, to); }
[[nodiscard]] constexpr auto from_bcd(auto value, auto to) { return operation(0x5b28, value, to); }
[[nodiscard]] constexpr auto to_bcd(auto value, auto to) { return operation(0x5b29, value, to); }
[[nodiscard]] constexpr auto to_string(auto value, auto length, auto to) {
  return operation(0x9c, value, length, to);
}
/// @}
/// @{
/// Names a field in a buffer: from a bit, or from a byte on (20.2.5.2).
[[nodiscard]] constexpr auto create_bit_field(auto source, auto bit, Path name) {
  return operation(0x8d, source, bit, name);
}
[[nodiscard]] constexpr auto create_byte_field(auto source, auto at, Path name) {
  return operation(0x8c, source, at, name);
}
[[nodiscard]] constexpr auto create_word_field(auto source, auto at, Path name) {
  return operation(0x8b, source, at, name);
}
[[nodiscard]] constexpr auto create_dword_field(auto source, auto at, Path name) {
  return operation(0x8a, source, at, name);
}
[[nodiscard]] constexpr auto create_qword_field(auto source, auto at, Path name) {
  return operation(0x8f, source, at, name);
}
/// @}

}  // namespace vmm::acpi_tables

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::linux_loader {

/// Why a change of a kernel command line was refused; the command line is then unchanged.
enum class CmdlineError : std::uint8_t {
  kCapacity = 1,  ///< a capacity of 0
  kTooLong,       ///< the text and its NUL would pass the capacity
  kNotPrintable,  ///< a character outside printable ASCII
  kKey,           ///< an empty key, or one with a space or '='
  kMissingValue,  ///< an empty list of values
  kQuoting,       ///< a value with a space but no quotes around it, or with a quote inside
  kSeparator,     ///< boot parameters that contain the separator, the word "--"
  kNoBootArgs,    ///< init arguments without any boot parameter
  kDeviceSize,    ///< a virtio-mmio device of size 0
  kOutsideRam,    ///< it does not fit into guest memory at that address
};

/// Control-path form of the error.
[[nodiscard]] Error make_error(CmdlineError error);

/// One virtio-mmio device, as the kernel's virtio_mmio.device= parameter names it.
struct VirtioMmioDevice {
  std::uint64_t size;                 ///< of the register window, in bytes
  GuestAddress base;                  ///< guest-physical, of the register window
  std::uint32_t irq;                  ///< the interrupt as the guest's kernel numbers it
  std::optional<std::uint32_t> id{};  ///< the platform device id; the kernel counts without it
};

/// Builds a kernel command line: boot parameters, and behind " -- " arguments for init.
///
/// Every change either happens whole or leaves the text as it was.
class Cmdline {
 public:
  /// An empty one; `capacity` is in bytes and counts the closing NUL. Errors: kCapacity.
  static Result<Cmdline, CmdlineError> create(std::size_t capacity);
  /// From a whole text, split as the kernel does at the first word "--" outside double quotes, be
  /// it the first or last; white space, tabs and line ends too, ends words, and is dropped
  /// around both parts. Errors: kCapacity, kTooLong, kNotPrintable, kNoBootArgs.
  static Result<Cmdline, CmdlineError> parse(std::string_view text, std::size_t capacity);

  /// Appends `key=value`. Errors: kKey, kQuoting, kNotPrintable, kTooLong.
  Result<void, CmdlineError> insert(std::string_view key, std::string_view value);
  /// Appends `key=a,b,c`. Errors: as insert(), and kMissingValue.
  Result<void, CmdlineError> insert_list(std::string_view key,
                                         std::span<const std::string_view> values);
  /// Appends boot parameters as one text. Errors: kNotPrintable, kSeparator, kTooLong.
  Result<void, CmdlineError> append(std::string_view text);
  /// Appends arguments for init. Errors: kNotPrintable, kNoBootArgs, kTooLong.
  Result<void, CmdlineError> append_init(std::string_view text);
  /// Appends `virtio_mmio.device=<size>@<base>:<irq>[:<id>]`. Errors: kDeviceSize, kTooLong.
  Result<void, CmdlineError> add_virtio_mmio(const VirtioMmioDevice& device);

  /// Bytes, the closing NUL included.
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  /// Bytes of the whole text, without the NUL.
  [[nodiscard]] std::size_t size() const;
  /// @{
  /// The parts before and behind "--". Borrowed until the next change.
  [[nodiscard]] const std::string& boot_args() const { return boot_; }
  [[nodiscard]] const std::string& init_args() const { return init_; }
  /// @}
  /// The whole text.
  [[nodiscard]] std::string text() const;

 private:
  explicit Cmdline(std::size_t capacity) : capacity_(capacity) {}
  [[nodiscard]] bool has_room_for(std::size_t more) const;
  Result<void, CmdlineError> append_word(std::string_view word);

  std::string boot_;
  std::string init_;
  std::size_t capacity_;
};

/// Writes the text and its NUL at `at`. Errors: kOutsideRam, and then nothing was written.
Result<void, CmdlineError> load_cmdline(vm_memory::MemoryView memory, GuestAddress at,
                                        const Cmdline& cmdline);

}  // namespace vmm::linux_loader

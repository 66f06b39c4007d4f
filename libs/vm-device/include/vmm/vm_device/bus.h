// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Address decoding: which device answers at a port or a guest-physical address.
//
//   PioBus ports;
//   VMM_TRY_DO(ports.add(PioAddress(0x3f8), 8, serial));   // any thread, also while vCPUs run
//   ...
//   PioCaller io(ports);                                   // one for each vCPU thread
//   (void)io.write(PioAddress(0x3f8), data);               // takes no lock, never waits

#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/error.h"
#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/vm_device/bus_device.h"
#include "vmm/vm_device/detail/bus_core.h"

namespace vmm::vm_device {

/// An I/O port number: x86 port space has 2^16 of them.
class PioAddress {
 public:
  constexpr PioAddress() = default;
  /// Every number is a port.
  constexpr explicit PioAddress(std::uint16_t raw) : raw_(raw) {}
  /// The port's number.
  [[nodiscard]] constexpr std::uint16_t raw() const { return raw_; }
  friend constexpr auto operator<=>(PioAddress, PioAddress) = default;

 private:
  std::uint16_t raw_ = 0;
};

/// A range of addresses and the device that is to answer there.
template <class Address>
struct BusRange {
  Address base;                       ///< the first address
  std::uint64_t size;                 ///< bytes
  std::shared_ptr<BusDevice> device;  ///< not null, shared with the bus
};

/// The ranges of one address space.
///
/// The bus shares ownership of its devices, as a device is usually also held by whoever feeds it
/// (an input thread) and may answer on two buses; accesses never touch the reference count.
///
/// Threads: every function may be called from any thread while accesses run. Changes serialise on
/// a lock that accesses do not take: an access reads an immutable table, which a change replaces.
/// The bus must outlive its callers.
template <class Address>
class Bus {
 public:
  Bus() : core_(kLast) {}

  /// Lets `device` answer [base, base + size).
  ///
  /// Errors: kNullDevice; kEmptyRange; kOutOfSpace when the range passes the end of the address
  /// space; kOverlap with a registered range.
  Result<void, BusError> add(Address base, std::uint64_t size, std::shared_ptr<BusDevice> device) {
    return core_.add({{.base = base.raw(), .size = size, .device = std::move(device)}});
  }

  /// Adds all of `ranges` at once or, when any of them is refused, none.
  ///
  /// Errors: as add(); ranges that overlap one another are kOverlap.
  Result<void, BusError> add_all(std::vector<BusRange<Address>> ranges) {
    std::vector<detail::NewRange> raw;
    raw.reserve(ranges.size());
    for (auto& range : ranges) {
      raw.push_back(
          {.base = range.base.raw(), .size = range.size, .device = std::move(range.device)});
    }
    return core_.add(std::move(raw));
  }

  /// Removes the range that contains `address` and returns its device.
  ///
  /// When it returns, no access through this range is running and none will start: the device may
  /// be destroyed. For that it waits for accesses to this device that are under way, and for
  /// nothing else; so it may be called from inside another device's read or write. A call on the
  /// caller's own stack is not waited for: a device that removes itself must keep the returned
  /// pointer until it returns. Two devices that remove each other from inside wait for ever, and so
  /// does a caller that holds a lock which the device's own read or write takes.
  ///
  /// Errors: kNotFound.
  Result<std::shared_ptr<BusDevice>, BusError> remove(Address address) {
    return core_.remove(address.raw());
  }

  /// Moves the range that starts at `from` to `to`, in one step, keeping its size and device (a
  /// reprogrammed PCI BAR). It does not wait: an access that began before may still be running.
  ///
  /// Errors: kNotFound when no range starts at `from`; kOutOfSpace; kOverlap with another range.
  Result<void, BusError> move(Address from, Address to) { return core_.move(from.raw(), to.raw()); }

  /// How many ranges are registered.
  [[nodiscard]] std::size_t size() const { return core_.size(); }

 private:
  template <class A>
  friend class BusCaller;
  static constexpr std::uint64_t kLast =
      std::numeric_limits<decltype(std::declval<Address>().raw())>::max();

  detail::BusCore core_;
};

/// Makes accesses on behalf of one thread; each vCPU thread owns one per bus.
///
/// It remembers the range it hit last, which the next access most often hits again.
///
/// Threads: one access at a time. An access made from inside another one of the same caller (a
/// device that forwards to the bus) works, at the price of a lock.
template <class Address>
class BusCaller {
 public:
  /// `bus` must outlive this object.
  explicit BusCaller(Bus<Address>& bus) : caller_(bus.core_) {}

  /// Reads data.size() bytes at `address`.
  ///
  /// Errors, with `data` set to all ones as on a bus that nobody drives: kNoDevice; kCrossesEnd
  /// when the access begins inside a range and passes its end; kEmpty when there are no bytes. No
  /// device is called then.
  Result<void, AccessError> read(Address address, std::span<std::byte> data) {
    return caller_.read(address.raw(), data);
  }

  /// Writes `data` at `address`. Errors: as read(); nothing is written then.
  Result<void, AccessError> write(Address address, std::span<const std::byte> data) {
    return caller_.write(address.raw(), data);
  }

 private:
  detail::CallerCore caller_;
};

/// @{
/// The buses and callers of port space and of guest-physical memory.
using PioBus = Bus<PioAddress>;
using MmioBus = Bus<GuestAddress>;
using PioCaller = BusCaller<PioAddress>;
using MmioCaller = BusCaller<GuestAddress>;
/// @}

}  // namespace vmm::vm_device

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/memory_error.h"

#include <string_view>

namespace vmm::vm_memory {
namespace {

std::string_view memory_message(std::int32_t code) {
  switch (static_cast<MemoryError>(code)) {
    case MemoryError::kUnmapped:
      return "the address is not guest memory";
    case MemoryError::kPartial:
      return "the range runs out of guest memory";
    case MemoryError::kNotContiguous:
      return "the range lies in several memory regions";
    case MemoryError::kOverflow:
      return "the range passes the end of the address space";
    case MemoryError::kMisaligned:
      return "the address is not aligned for this access";
    case MemoryError::kOutOfBounds:
      return "the range passes the end of the slice";
    case MemoryError::kNotTranslated:
      return "the I/O address is not mapped";
    case MemoryError::kNoPermission:
      return "the I/O address is not mapped for this access";
  }
  return "unknown guest memory error";
}

std::string_view region_message(std::int32_t code) {
  switch (static_cast<RegionError>(code)) {
    case RegionError::kNoRegions:
      return "guest memory needs at least one region";
    case RegionError::kZeroSize:
      return "a memory region cannot have a size of 0";
    case RegionError::kOverflow:
      return "a memory region passes the end of the address space";
    case RegionError::kUnsorted:
      return "the memory regions are not in ascending order";
    case RegionError::kOverlap:
      return "two memory regions overlap";
    case RegionError::kNotFound:
      return "there is no memory region with this base and size";
    case RegionError::kInvalidPointer:
      return "external memory must be at a page-aligned address";
    case RegionError::kInvalidHugePage:
      return "size and offset must be multiples of the huge page size";
    case RegionError::kInvalidConfig:
      return "options of a memory region exclude each other or are incomplete, or what a bit of "
             "its dirty bitmap stands for is no power of two";
  }
  return "unknown memory region error";
}

constexpr ErrorDomain kMemoryDomain{"guest memory", &memory_message};
constexpr ErrorDomain kRegionDomain{"memory region", &region_message};

}  // namespace

Error make_error(MemoryError error) {
  return {kMemoryDomain, static_cast<std::int32_t>(error), "guest memory"};
}

Error make_error(RegionError error) {
  return {kRegionDomain, static_cast<std::int32_t>(error), "memory region"};
}

}  // namespace vmm::vm_memory

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace vmm::vfio_platform::detail {

/// What becomes of a property of the host's node.
enum class Treatment : std::uint8_t {
  kCopied,     ///< it says the same in the guest's tree
  kMade,       ///< the guest's node has one of its own, or none
  kHosts,      ///< the host has done what it asks for
  kReference,  ///< it names other nodes of the host, or belongs to one that does
  kUnknown,    ///< nobody here knows whether it names other nodes
};

/// What a copied value has to look like.
enum class Shape : std::uint8_t {
  kFlag,     ///< no bytes
  kCell,     ///< one number of 32 bits
  kCells,    ///< some
  kStrings,  ///< printable strings, each with its end
  kMac,      ///< six bytes
};

struct Rule {
  Treatment treatment = Treatment::kUnknown;
  Shape shape = Shape::kFlag;
};

/// The rule for a property of this name.
Rule rule_for(std::string_view name);

bool has_shape(Shape shape, std::span<const std::byte> value);
/// How many strings there are, in a value of that shape.
std::size_t count_strings(std::span<const std::byte> value);

}  // namespace vmm::vfio_platform::detail

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "identity_options.h"

#include <array>
#include <utility>

namespace vmm::reference {
namespace {

// Between the tables' address and the next thing in memory.
constexpr std::size_t kMaxTableBytes = 0xfff0;

struct Key {
  std::string_view name;
  std::string IdentityConfig::* text;
};
constexpr std::array kKeys{Key{"system_manufacturer", &IdentityConfig::manufacturer},
                           Key{"system_product_name", &IdentityConfig::product_name},
                           Key{"system_version", &IdentityConfig::version},
                           Key{"system_serial_number", &IdentityConfig::serial_number},
                           Key{"system_uuid", &IdentityConfig::uuid},
                           Key{"system_sku_number", &IdentityConfig::sku_number},
                           Key{"system_family", &IdentityConfig::family},
                           Key{"chassis_asset_tag", &IdentityConfig::chassis_asset_tag},
                           // Older names, which the new ones are put before.
                           Key{"serial_number", &IdentityConfig::serial_number},
                           Key{"uuid", &IdentityConfig::uuid}};

}  // namespace

Outcome<IdentityConfig> parse_identity(const OptionValue& value) {
  IdentityConfig identity;
  for (const Key& key : kKeys) {
    auto text = value.text(key.name);
    if (text && (identity.*key.text).empty()) identity.*key.text = *std::move(text);
  }
  if (!identity.uuid.empty() && !smbios::parse_uuid(identity.uuid)) {
    const bool older = !value.text("system_uuid");
    return fail(
        value.error(older ? "uuid" : "system_uuid", "\"" + identity.uuid + "\" is not a UUID"));
  }
  VMM_TRY(identity.oem_strings, value.texts("oem_strings"));
  const auto tables = smbios::build(smbios_identity(identity), GuestAddress(0), kMaxTableBytes);
  if (!tables) {
    return fail(value.error("oem_strings", to_string(Error(tables.error()))));
  }
  return identity;
}

smbios::Identity smbios_identity(const IdentityConfig& config) {
  const auto or_else = [](const std::string& text, std::string_view otherwise) {
    return text.empty() ? otherwise : std::string_view(text);
  };
  return {.bios_vendor = "cpp-vmm",
          .manufacturer = or_else(config.manufacturer, "cpp-vmm"),
          .product_name = or_else(config.product_name, "vmm-reference"),
          .version = config.version,
          .serial_number = config.serial_number,
          .sku_number = config.sku_number,
          .family = config.family,
          .uuid = smbios::parse_uuid(config.uuid).value_or(smbios::Uuid{}),
          .chassis_asset_tag = config.chassis_asset_tag,
          .oem_strings = config.oem_strings};
}

}  // namespace vmm::reference

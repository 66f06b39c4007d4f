// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "identity_options.h"

#include <catch2/catch.hpp>

#include "options.h"

namespace vmm::reference {
namespace {

using Texts = std::vector<std::string>;

Outcome<IdentityConfig> identity(const std::string& text) {
  VMM_TRY(const Invocation got, parse_command_line(Texts{"--kernel", "k", "--platform", text}));
  return got.vmm.vm->identity;
}

TEST_CASE("--platform: no keys, no identity", "[identity]") {
  for (const char* text : {"", "num_pci_segments=2", "oem_strings=", "oem_strings=[]", "uuid="}) {
    CAPTURE(text);
    const auto got = identity(text);
    REQUIRE(got);
    CHECK(*got == IdentityConfig{});
  }
  const smbios::Identity tables = smbios_identity({});
  CHECK(tables.manufacturer == "cpp-vmm");
  CHECK(tables.product_name == "vmm-reference");
  CHECK(tables.serial_number.empty());
  CHECK(tables.uuid == smbios::Uuid{});
}

TEST_CASE("--platform: names reach the tables", "[identity]") {
  const auto got = identity(
      "system_manufacturer=m,system_product_name=\"p, q\",system_version=v,"
      "system_serial_number=s,system_uuid=00112233-4455-6677-8899-AABBCCDDEEFF,"
      "system_sku_number=k,system_family=f,chassis_asset_tag=t");
  REQUIRE(got);
  const smbios::Identity tables = smbios_identity(*got);
  CHECK(tables.manufacturer == "m");
  CHECK(tables.product_name == "p, q");
  CHECK(tables.version == "v");
  CHECK(tables.serial_number == "s");
  CHECK(tables.sku_number == "k");
  CHECK(tables.family == "f");
  CHECK(tables.chassis_asset_tag == "t");
  CHECK(tables.uuid[0] == 0);
  CHECK(tables.uuid[15] == 0xff);
  CHECK(identity("serial_number=s")->serial_number == "s");
  CHECK(identity("serial_number=a,system_serial_number=b")->serial_number == "b");
  CHECK(identity("system_serial_number=b,serial_number=a")->serial_number == "b");
  CHECK_FALSE(identity("uuid=00112233-4455-6677-8899-aabbccddeeff")->uuid.empty());
}

TEST_CASE("--platform: a list of OEM strings", "[identity]") {
  const std::vector<std::pair<const char*, Texts>> cases{
      {"oem_strings=[io.systemd.credential:vmm.notify_socket=vsock-stream:2:8888]",
       {"io.systemd.credential:vmm.notify_socket=vsock-stream:2:8888"}},
      {"oem_strings=[a,b]", {"a", "b"}},
      {"oem_strings=[\"a,b\",c]", {"a,b", "c"}},
      {"oem_strings=[\"a=b;c=d\",\"say \"\"x\"\"\",\"]\"]", {"a=b;c=d", "say \"x\"", "]"}},
      {"oem_strings=[a[1,2],b]", {"a[1,2]", "b"}},
      {"oem_strings=\"[a,b]\"", {"a", "b"}},
      {"oem_strings=a", {"a"}},
      {"oem_strings=\"a,b\"", {"a,b"}}};
  for (const auto& [text, strings] : cases) {
    CAPTURE(text);
    const auto got = identity(text);
    REQUIRE(got);
    CHECK(got->oem_strings == strings);
  }
}

TEST_CASE("--platform: an identity that has no tables is refused by name", "[identity][hostile]") {
  std::string many = "oem_strings=[a";
  for (int i = 0; i < 255; ++i) many += ",a";
  const std::vector<std::pair<std::string, const char*>> refused{
      {"oem_strings=[a,,b]", "--platform: oem_strings"},
      {"oem_strings=[a,]", "--platform: oem_strings"},
      {"oem_strings=[a", "--platform: unbalanced"},
      {"oem_strings=\"[a\"", "--platform: oem_strings"},
      {many + "]", "more than 255"},
      {"oem_strings=[" + std::string(65536, 'x') + "]", "larger than"},
      {"uuid=00112233-4455-6677-8899-aabbccddeef", "--platform: uuid"},
      {"system_uuid=x", "--platform: system_uuid"},
      {"uuid=00112233-4455-6677-8899-aabbccddeeff,system_uuid=x", "--platform: system_uuid"},
      {"tdx=on", "--platform: tdx: not offered yet"},
      {"sev_snp=on", "--platform: sev_snp: not offered yet"}};
  for (const auto& [text, why] : refused) {
    CAPTURE(why);
    const auto got = identity(text);
    REQUIRE_FALSE(got);
    CHECK(got.error().exit_code() == 2);
    CHECK(got.error().message.find(why) != std::string::npos);
  }
}

}  // namespace
}  // namespace vmm::reference

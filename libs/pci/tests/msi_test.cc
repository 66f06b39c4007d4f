// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/msi.h"

#include <catch2/catch.hpp>

#include "vmm/base/endian.h"
#include "vmm/vm_device/testing/platform.h"

using namespace vmm;
using namespace vmm::pci;
using vm_device::MsiMessage;

namespace {

constexpr std::uint16_t kAt = 0x50;

struct Rig {
  explicit Rig(std::uint8_t count, Msi::Form form)
      : vectors(source.create_vectors(count)->release()),
        msi(*Msi::create(std::unique_ptr<vm_device::MsiVectors>(vectors), count, form)) {
    msi->lay_out(config, kAt);
  }
  template <class T>
  void write(std::uint16_t offset, T value) {
    std::array<std::byte, sizeof(T)> data{};
    store_le(data.data(), value);
    config.write(kAt + offset, data);
    msi->update(config);
  }

  vm_device::testing::FakeMsiSource source;
  vm_device::MsiVectors* vectors;
  std::unique_ptr<Msi> msi;
  ConfigSpace config{Header{}};
};

}  // namespace

TEST_CASE("MSI: the forms of the capability", "[msi]") {
  struct Row {
    Msi::Form form;
    std::uint16_t bytes;
    std::uint16_t control;
    std::uint16_t data;
  };
  for (const Row& row : {Row{{false, false}, 10, 0x0004, 8}, Row{{true, false}, 14, 0x0084, 12},
                         Row{{false, true}, 20, 0x0104, 8}, Row{{true, true}, 24, 0x0184, 12}}) {
    Rig rig(4, row.form);
    CHECK(Msi::bytes(row.form) == row.bytes);
    CHECK(rig.config.get<std::uint16_t>(kAt + 2) == row.control);
    rig.write(4, 0xfee0'1003u);
    if (row.form.wide) rig.write(8, 0x1u);
    rig.write(row.data, std::uint16_t{0x4242});
    rig.write(2, std::uint16_t{0x0001});  // one vector
    rig.vectors->trigger(0);
    const std::uint64_t high = row.form.wide ? 1ull << 32 : 0;
    CHECK(rig.source.sent() == std::vector{MsiMessage{high | 0xfee0'1000, 0x4242}});
    // Nothing behind the capability is the guest's.
    rig.write(row.bytes, std::uint16_t{0xffff});
    CHECK(rig.config.get<std::uint16_t>(static_cast<std::uint16_t>(kAt + row.bytes)) == 0);
  }
}

TEST_CASE("MSI: vectors differ in the lowest bits of the data", "[msi]") {
  Rig rig(4, {});
  rig.write(12, std::uint16_t{0x43});
  rig.write(2, std::uint16_t{0x0021});
  CHECK(rig.msi->enabled() == 4);
  rig.vectors->trigger(2);
  CHECK(rig.source.sent().back().data == 0x42);
  rig.write(2, std::uint16_t{0x0011});
  CHECK(rig.msi->enabled() == 2);
  CHECK(rig.source.routes() == 2);
  rig.write(2, std::uint16_t{0x0071});  // 128 of 4
  CHECK(rig.msi->enabled() == 4);
  rig.write(2, std::uint16_t{0x0070});
  CHECK(rig.msi->enabled() == 0);
  CHECK(rig.source.routes() == 0);
}

TEST_CASE("MSI: a masked vector is pending until the unmask", "[msi]") {
  Rig rig(2, {.wide = true, .maskable = true});
  rig.write(16, 0xffff'ffffu);
  CHECK(rig.config.get<std::uint32_t>(kAt + 16) == 3);  // two vectors, two bits
  rig.write(2, std::uint16_t{0x0011});
  rig.vectors->trigger(1);
  CHECK(rig.source.sent().empty());
  rig.msi->refresh(rig.config);
  CHECK(rig.config.get<std::uint32_t>(kAt + 20) == 2);
  rig.write(16, 1u);
  CHECK(rig.source.sent().size() == 1);
  rig.msi->refresh(rig.config);
  CHECK(rig.config.get<std::uint32_t>(kAt + 20) == 0);
  rig.vectors->trigger(0);
  rig.msi->reset(rig.config);
  CHECK(rig.msi->enabled() == 0);
  CHECK(rig.config.get<std::uint32_t>(kAt + 16) == 0);
  CHECK_FALSE(rig.vectors->pending(0));
}

TEST_CASE("MSI: without a free interrupt the vector stays masked", "[msi]") {
  Rig rig(1, {});
  rig.source.refuse(true);
  rig.write(2, std::uint16_t{1});
  CHECK(rig.source.routes() == 0);
  rig.vectors->trigger(0);
  rig.source.refuse(false);
  rig.write(2, std::uint16_t{1});
  CHECK(rig.source.sent().size() == 1);
}

TEST_CASE("MSI: counts that there cannot be", "[msi]") {
  vm_device::testing::FakeMsiSource source;
  for (const std::uint8_t count : {std::uint8_t{0}, std::uint8_t{3}, std::uint8_t{64}}) {
    CHECK_FALSE(Msi::create(*source.create_vectors(count), count, {}).has_value());
  }
}

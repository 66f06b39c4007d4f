// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio/migration.h"

#include <linux/vfio.h>

#include <array>
#include <cerrno>

#include "open_fds.h"
#include "tests/rig.h"
#include "vmm/vfio/feature.h"

using namespace vmm;
using namespace vmm::vfio;
using namespace vmm::vfio::testing;

namespace {

std::vector<std::byte> words(std::initializer_list<std::uint64_t> values) {
  std::vector<std::byte> bytes;
  for (const std::uint64_t value : values) {
    for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<std::byte>(value >> (8 * i)));
  }
  return bytes;
}

struct Held {
  explicit Held(ScriptedDevice scripted) {
    kernel.add(std::move(scripted));
    space = open(kernel, Interface::kGroups);
    device = std::move(*space->attach(kNic));
  }
  ScriptedKernel kernel;
  std::shared_ptr<AddressSpace> space;
  std::unique_ptr<Device> device;
};

ScriptedDevice movable() {
  ScriptedDevice device = nic();
  device.features[VFIO_DEVICE_FEATURE_MIGRATION] = words({7});
  device.features[VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE] = words({VFIO_DEVICE_STATE_RUNNING});
  device.features[9] = words({12345});
  device.features[VFIO_DEVICE_FEATURE_DMA_LOGGING_START] = words({0, 0, 0});
  device.features[VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP] = {};
  device.features[VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT] = {};
  return device;
}

}  // namespace

TEST_CASE("features are probed, read and written", "[feature]") {
  ScriptedDevice scripted = nic();
  scripted.features[100] = words({77});
  const Held held(scripted);
  CHECK(*has_feature(*held.device, 100, FeatureUse::kGet));
  CHECK_FALSE(*has_feature(*held.device, 101, FeatureUse::kGetAndSet));
  std::array<std::byte, 8> data{};
  REQUIRE(get_feature(*held.device, 100, data));
  CHECK(data[0] == std::byte{77});
  data[0] = std::byte{78};
  REQUIRE(set_feature(*held.device, 100, data));
  REQUIRE(get_feature(*held.device, 100, data));
  CHECK(data[0] == std::byte{78});
  CHECK(get_feature(*held.device, 101, data).error().is_os(ENOTTY));
  std::array<std::byte, kMaxFeatureBytes + 1> large{};
  CHECK(is_error(get_feature(*held.device, 100, large), VfioError::kTooLarge));
  CHECK(is_error(set_feature(*held.device, 100, large), VfioError::kTooLarge));
}

TEST_CASE("a device says how it can be moved", "[migration]") {
  const Held cannot(nic());
  CHECK_FALSE(*migration_support(*cannot.device));
  const Held held(movable());
  const auto support = migration_support(*held.device);
  REQUIRE(support);
  REQUIRE(*support);
  CHECK((*support)->stop_copy);
  CHECK((*support)->p2p);
  CHECK((*support)->pre_copy);
  CHECK(*stop_copy_bytes(*held.device) == 12345);
}

TEST_CASE("a device goes from state to state", "[migration]") {
  const Held held(movable());
  const std::size_t before = open_fds();
  CHECK(*migration_state(*held.device) == MigrationState::kRunning);
  {
    const auto state = set_migration_state(*held.device, MigrationState::kPreCopy);
    REQUIRE(state);
    REQUIRE(*state);
    const auto left = pre_copy_left(*held.device, *state);
    REQUIRE(left);
    CHECK(left->initial_bytes == 4096);
    CHECK(left->dirty_bytes == 8192);
    CHECK(*migration_state(*held.device) == MigrationState::kPreCopy);
  }
  const auto stopped = set_migration_state(*held.device, MigrationState::kStop);
  REQUIRE(stopped);
  CHECK_FALSE(*stopped);
  CHECK(open_fds() == before);
}

TEST_CASE("a state that there is not is an error", "[migration][hostile]") {
  ScriptedDevice odd = movable();
  odd.features[VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE] = words({8});
  const Held held(odd);
  CHECK(migration_state(*held.device).error().is_os(EPROTO));
}

TEST_CASE("a device logs what it writes", "[migration]") {
  Held held(movable());
  const std::array ranges{DmaSpan{.iova = 0, .bytes = 1 << 20}};
  REQUIRE(start_dma_logging(*held.device, kPage, ranges));
  held.kernel.dirty(2 * kPage);
  std::array<std::uint64_t, 1> bitmap{};
  REQUIRE(read_dma_log(*held.device, {.iova = 0, .bytes = 64 * kPage}, kPage, bitmap));
  CHECK(bitmap[0] == 4);
  CHECK(is_error(read_dma_log(*held.device, {.iova = 0, .bytes = 65 * kPage}, kPage, bitmap),
                 VfioError::kBadRange));
  CHECK(stop_dma_logging(*held.device));
  const std::vector<DmaSpan> many(256);
  CHECK(is_error(start_dma_logging(*held.device, kPage, many), VfioError::kTooLarge));
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Accesses that lead nowhere, and the driver's being told.

#include <catch2/catch.hpp>

#include "iommu_rig.h"
#include "src/fault_log.h"
#include "vmm/virtio_queue/queue_config.h"

namespace vmm::virtio_iommu {
namespace {

/// What the device does when it comes across an address.
void touch(const MemoryEndpoint& endpoint, std::uint64_t iova, Access access, bool denied = false) {
  const auto map = endpoint.memory().snapshot();
  auto& faults = *map->translation()->faults;
  denied ? faults.denied(Iova(iova), 8, access) : faults.missing(Iova(iova), 8, access);
}

TEST_CASE("faults are reported one to a buffer", "[iommu]") {
  IommuRig rig(kFeatures, [](Iommu::Options& options) { options.bypass = false; });
  const auto endpoint = rig.add(0x1'0008, std::make_shared<MemoryEndpoint>());
  REQUIRE(endpoint);
  touch(*endpoint, 0x1234, Access::kWrite);  // it waits for a buffer
  rig.rig.run();
  auto answer = rig.rig.exchange(1, {.readable = {}, .writable = {24}});
  REQUIRE(answer);
  CHECK(answer->written == 24);
  Fault fault = answer->at<Fault>(0);
  CHECK(fault.reason == 1);  // without a domain
  CHECK(fault.flags.get() == (1u << 1 | 1u << 8));
  CHECK(fault.endpoint.get() == 0x1'0008);
  CHECK(fault.address.get() == 0x1234);
  CHECK(fault.reserved == std::array<std::uint8_t, 3>{});

  REQUIRE(rig.ask(attach(1, 0x1'0008)) == kOk);
  REQUIRE(rig.rig.send(1, {.readable = {}, .writable = {64}}));
  REQUIRE(rig.rig.send(1, {.readable = {}, .writable = {24}}));
  touch(*endpoint, 0x5000, Access::kRead, true);
  answer = rig.rig.wait(1);
  REQUIRE(answer);
  CHECK(answer->written == 24);
  fault = answer->at<Fault>(0);
  CHECK(fault.reason == 2);
  CHECK(fault.flags.get() == (1u << 0 | 1u << 8));
  CHECK(fault.address.get() == 0x5000);
}

/// All endpoints are on bus 5.
class OnBusFive final : public EndpointNumbers {
 public:
  [[nodiscard]] std::optional<std::uint32_t> added_as(std::uint32_t number) const override {
    return number & ~0x500u;
  }
  [[nodiscard]] std::uint32_t number_of(std::uint32_t added) const override {
    return added | 0x500;
  }
};

TEST_CASE("a fault names the endpoint as the driver does", "[iommu]") {
  IommuRig rig(kFeatures, [](Iommu::Options& options) {
    options.bypass = false;
    options.numbers = std::make_shared<OnBusFive>();
  });
  const auto endpoint = rig.add(8, std::make_shared<MemoryEndpoint>());
  touch(*endpoint, 0x1234, Access::kWrite);
  rig.rig.run();
  const auto answer = rig.rig.exchange(1, {.readable = {}, .writable = {24}});
  REQUIRE(answer);
  CHECK(answer->at<Fault>(0).endpoint.get() == 0x508);
}

TEST_CASE("buffers that are too small come back, and the fault waits", "[iommu][hostile]") {
  IommuRig rig(kFeatures, [](Iommu::Options& options) { options.bypass = false; });
  const auto endpoint = rig.add(8, std::make_shared<MemoryEndpoint>());
  touch(*endpoint, 0x1000, Access::kRead);
  auto answer = rig.rig.exchange(1, {.readable = {}, .writable = {23}});
  REQUIRE(answer);
  CHECK(answer->written == 0);
  answer = rig.rig.exchange(1, {.readable = {Bytes(100)}, .writable = {12, 12}});
  REQUIRE(answer);
  CHECK(answer->at<Fault>(0).address.get() == 0x1000);
}

TEST_CASE("there are only so many faults, and they end with the driver", "[iommu][hostile]") {
  IommuRig rig(kFeatures, [](Iommu::Options& options) { options.bypass = false; });
  const auto endpoint = rig.add(8, std::make_shared<MemoryEndpoint>());
  for (std::uint64_t i = 0; i < 1000; ++i) touch(*endpoint, i, Access::kRead);
  for (std::uint64_t i = 0; i < FaultLog::kMost; ++i) {
    const auto answer = rig.rig.exchange(1, {.readable = {}, .writable = {24}});
    REQUIRE(answer);
    CHECK(answer->at<Fault>(0).address.get() == i);
  }
  CHECK_FALSE(
      rig.rig.exchange(1, {.readable = {}, .writable = {24}}, std::chrono::milliseconds(20)));
  touch(*endpoint, 0x77, Access::kRead);
  CHECK(rig.rig.wait(1)->at<Fault>(0).address.get() == 0x77);
  touch(*endpoint, 0x88, Access::kRead);
  REQUIRE(rig.rig.start());
  CHECK_FALSE(
      rig.rig.exchange(1, {.readable = {}, .writable = {24}}, std::chrono::milliseconds(20)));
}

TEST_CASE("rings at addresses that are not mapped are refused, and reported", "[iommu]") {
  IommuRig rig;
  const auto endpoint = rig.add(8, std::make_shared<MemoryEndpoint>());
  REQUIRE(rig.ask(attach(1, 8)) == kOk);
  auto config = *virtio_queue::QueueConfig::create(8);
  REQUIRE(config.set_size(8));
  REQUIRE(config.set_descriptors(GuestAddress(0x1000)));
  REQUIRE(config.set_driver(GuestAddress(0x2000)));
  REQUIRE(config.set_device(GuestAddress(0x3000)));
  config.set_ready(true);
  CHECK_FALSE(config.activate(endpoint->memory()));
  const auto answer = rig.rig.exchange(1, {.readable = {}, .writable = {24}});
  REQUIRE(answer);
  CHECK(answer->at<Fault>(0).address.get() == 0x1000);
  REQUIRE(rig.ask(map(1, {0x1000, 0x3fff})) == kOk);
  CHECK(config.activate(endpoint->memory()));
}

}  // namespace
}  // namespace vmm::virtio_iommu

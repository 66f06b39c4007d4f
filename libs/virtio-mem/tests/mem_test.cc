// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_mem/mem.h"

#include <catch2/catch.hpp>

#include "mem_rig.h"
#include "vmm/virtio_device/testing/hostile_chains.h"

using namespace vmm;
using namespace vmm::virtio_mem;

namespace {

using Call = RecordingBlocks::Call;
using Calls = std::vector<Call>;

/// 16 of 64 blocks are requested, 20 are usable.
struct Fixture {
  explicit Fixture(bool packed = false, std::uint64_t requested = 16)
      : blocks(std::make_shared<RecordingBlocks>()),
        mem(*Mem::create(options_for(blocks, requested))),
        rig(mem, {.packed = packed,
                  .features = kFeatureUnpluggedInaccessible | virtio_queue::kFeatureIndirect}) {
    REQUIRE(rig.start());
  }

  /// The type of the answer; the state is in `state`.
  std::uint16_t ask(const Bytes& bytes) {
    const auto answer = rig.exchange(0, {.readable = {bytes}, .writable = {10}});
    REQUIRE(answer);
    REQUIRE(answer->written == 10);
    state = answer->at<Le16>(8).get();
    return answer->at<Le16>(0).get();
  }
  std::uint16_t plug(std::uint64_t first, std::uint16_t count) {
    return ask(request(kPlug, address_of(first), count));
  }
  std::uint16_t unplug(std::uint64_t first, std::uint16_t count) {
    return ask(request(kUnplug, address_of(first), count));
  }
  std::uint16_t state_of(std::uint64_t first, std::uint16_t count) {
    CHECK(ask(request(kState, address_of(first), count)) == kAck);
    return state;
  }

  std::shared_ptr<RecordingBlocks> blocks;
  std::shared_ptr<Mem> mem;
  DeviceRig rig;
  std::uint16_t state = 0;
};

}  // namespace

TEST_CASE("blocks are plugged, looked at and unplugged", "[mem]") {
  Fixture fixture(GENERATE(false, true));
  CHECK(fixture.plug(2, 5) == kAck);
  CHECK(fixture.mem->plugged() == 5 * kBlock);
  CHECK(fixture.state_of(2, 5) == 0);
  CHECK(fixture.state_of(7, 13) == 1);
  CHECK(fixture.state_of(1, 2) == 2);
  CHECK(fixture.unplug(3, 2) == kAck);
  CHECK(fixture.state_of(2, 5) == 2);
  CHECK(fixture.mem->plugged() == 3 * kBlock);
  CHECK(fixture.rig.config<Le64>(40).get() == 3 * kBlock);
  CHECK(fixture.blocks->take() == Calls{{true, 2, 5}, {false, 3, 2}});
  CHECK(fixture.rig.config_interrupts() == 0);  // of plugged_size, the driver knows itself
}

TEST_CASE("what the specification calls an error is one, and changes nothing", "[mem][hostile]") {
  struct Row {
    const char* name;
    Bytes request;
  };
  const std::uint16_t type = GENERATE(kPlug, kUnplug, kState);
  const auto row = GENERATE_COPY(values<Row>({
      {"no blocks", request(type, address_of(0), 0)},
      {"an odd address", request(type, address_of(0) + 4096, 1)},
      {"below the region", request(type, address_of(0) - kBlock, 1)},
      {"from below into the region", request(type, address_of(0) - kBlock, 2)},
      {"address 0", request(type, 0, 1)},
      {"behind the usable region", request(type, address_of(20), 1)},
      {"across the usable region's end", request(type, address_of(19), 2)},
      {"behind the region", request(type, address_of(64), 1)},
      {"too many blocks", request(type, address_of(0), 0xffff)},
      {"near the last address", request(type, ~std::uint64_t{0} - kBlock + 1, 2)},
      {"the last address", request(type, ~std::uint64_t{0}, 1)},
  }));
  CAPTURE(type, row.name);
  Fixture fixture(GENERATE(false, true));
  CHECK(fixture.ask(row.request) == kError);
  CHECK(fixture.blocks->take().empty());
  CHECK(fixture.mem->plugged() == 0);
  CHECK(fixture.plug(0, 1) == kAck);
}

TEST_CASE("unknown requests are errors", "[mem][hostile]") {
  Fixture fixture;
  for (const std::uint16_t type : std::initializer_list<std::uint16_t>{4, 5, 0x100, 0xffff}) {
    CHECK(fixture.ask(request(type, address_of(0), 1)) == kError);
  }
  Bytes shorter = request(kPlug, address_of(0), 1);
  shorter.resize(23);
  CHECK(fixture.ask(shorter) == kError);
  CHECK(fixture.ask({}) == kError);
  CHECK(fixture.blocks->take().empty());
}

TEST_CASE("what cannot be answered is not done", "[mem][hostile]") {
  Fixture fixture;
  const auto answer =
      fixture.rig.exchange(0, {.readable = {request(kPlug, address_of(0), 1)}, .writable = {9}});
  REQUIRE(answer);
  CHECK(answer->written == 0);
  CHECK(fixture.blocks->take().empty());
}

TEST_CASE("a block is plugged or unplugged once", "[mem][hostile]") {
  Fixture fixture;
  CHECK(fixture.plug(4, 4) == kAck);
  CHECK(fixture.plug(7, 2) == kError);
  CHECK(fixture.plug(3, 2) == kError);
  CHECK(fixture.unplug(3, 2) == kError);
  CHECK(fixture.unplug(7, 2) == kError);
  CHECK(fixture.mem->plugged() == 4 * kBlock);
  CHECK(fixture.unplug(4, 4) == kAck);
  CHECK(fixture.unplug(4, 4) == kError);
  CHECK(fixture.blocks->take() == Calls{{true, 4, 4}, {false, 4, 4}});
}

TEST_CASE("no more is plugged than was requested", "[mem]") {
  Fixture fixture;
  CHECK(fixture.plug(0, 17) == kNack);
  CHECK(fixture.plug(0, 16) == kAck);
  CHECK(fixture.plug(16, 1) == kNack);
  REQUIRE(fixture.mem->set_requested(18 * kBlock));
  CHECK(fixture.plug(16, 1) == kAck);
  REQUIRE(fixture.mem->set_requested(4 * kBlock));
  CHECK(fixture.plug(17, 1) == kNack);
  CHECK(fixture.unplug(0, 1) == kAck);
  CHECK(fixture.mem->plugged() == 16 * kBlock);
}

TEST_CASE("when the VMM has no memory, the driver may try again", "[mem]") {
  Fixture fixture;
  fixture.blocks->refuses = true;
  CHECK(fixture.plug(0, 4) == kBusy);
  CHECK(fixture.state_of(0, 4) == 1);
  fixture.blocks->refuses = false;
  CHECK(fixture.plug(0, 4) == kAck);
  fixture.blocks->refuses = true;
  CHECK(fixture.unplug(0, 4) == kBusy);
  CHECK(fixture.ask(request(kUnplugAll)) == kBusy);
  CHECK_FALSE(fixture.mem->unplug_all());
  CHECK(fixture.state_of(0, 4) == 0);
  CHECK(fixture.mem->plugged() == 4 * kBlock);
}

TEST_CASE("the usable region grows with requests and shrinks with UNPLUG ALL", "[mem]") {
  Fixture fixture(false, 0);
  CHECK(fixture.mem->usable() == 0);
  CHECK(fixture.plug(0, 1) == kError);
  REQUIRE(fixture.mem->set_requested(10 * kBlock));
  CHECK(fixture.rig.config_interrupts() == 1);
  CHECK(fixture.mem->usable() == 14 * kBlock);
  CHECK(fixture.plug(13, 1) == kAck);
  REQUIRE(fixture.mem->set_requested(2 * kBlock));
  CHECK(fixture.mem->usable() == 14 * kBlock);
  CHECK(fixture.ask(request(kUnplugAll, 1, 0xffff)) == kAck);  // only its type counts
  CHECK(fixture.mem->plugged() == 0);
  CHECK(fixture.mem->usable() == 6 * kBlock);
  CHECK(fixture.rig.config_interrupts() == 2);
  CHECK(fixture.blocks->take() == Calls{{true, 13, 1}, {false, 0, 14}});
  CHECK(fixture.ask(request(kUnplugAll)) == kAck);  // nothing there: nobody is asked
  CHECK(fixture.blocks->take().empty());
  REQUIRE(fixture.mem->set_requested(kBlocks * kBlock));
  CHECK(fixture.mem->usable() == kBlocks * kBlock);
  CHECK(fixture.plug(63, 1) == kAck);
}

TEST_CASE("a reset of the device leaves its blocks, one of the machine does not", "[mem]") {
  Fixture fixture;
  CHECK(fixture.plug(1, 3) == kAck);
  REQUIRE(fixture.rig.start());
  CHECK(fixture.state_of(1, 3) == 0);
  CHECK(fixture.mem->plugged() == 3 * kBlock);
  REQUIRE(fixture.mem->unplug_all());
  CHECK(fixture.state_of(1, 3) == 1);
  CHECK(fixture.mem->plugged() == 0);
}

TEST_CASE("the driver reads the region's layout", "[mem]") {
  Fixture fixture;
  CHECK(fixture.rig.config<Le64>(0).get() == kBlock);
  CHECK(fixture.rig.config<Le16>(8).get() == 3);
  CHECK(fixture.rig.config<Le64>(16).get() == kBase.raw());
  CHECK(fixture.rig.config<Le64>(24).get() == kBlocks * kBlock);
  CHECK(fixture.rig.config<Le64>(32).get() == 20 * kBlock);
  CHECK(fixture.rig.config<Le64>(40).get() == 0);
  CHECK(fixture.rig.config<Le64>(48).get() == 16 * kBlock);
  fixture.rig.set_config(48, Le64(kBlocks * kBlock));
  CHECK(fixture.mem->requested() == 16 * kBlock);
}

TEST_CASE("a driver that might read unplugged memory is refused", "[mem]") {
  const auto mem = *Mem::create(options_for(std::make_shared<RecordingBlocks>(), 1));
  DeviceRig rig(mem);
  CHECK_FALSE(rig.start());
  CHECK(rig.core().status() == (virtio_device::kAcknowledge | virtio_device::kDriver));
  // Where features are told without a way to refuse them.
  CHECK_FALSE(mem->activate(
      {.memory = rig.heap().memory(), .features = 0, .queues = {}, .interrupt = nullptr}));
}

TEST_CASE("options that make no device are refused", "[mem]") {
  const auto blocks = std::make_shared<RecordingBlocks>();
  const auto good = options_for(blocks, 1);
  REQUIRE(Mem::create(good));
  struct Row {
    const char* name;
    void (*spoil)(Mem::Options&);
  };
  const auto row = GENERATE(values<Row>({
      {"no blocks", [](Mem::Options& o) { o.blocks = nullptr; }},
      {"a block size of 0", [](Mem::Options& o) { o.block_bytes = 0; }},
      {"a small block", [](Mem::Options& o) { o.block_bytes = 2048; }},
      {"an odd block", [](Mem::Options& o) { o.block_bytes = 3 << 20; }},
      {"an odd base", [](Mem::Options& o) { o.region.base = GuestAddress(4096); }},
      {"an odd size", [](Mem::Options& o) { o.region.size += 4096; }},
      {"a region that wraps", [](Mem::Options& o) { o.region.base = GuestAddress(~(kBlock - 1)); }},
      {"too many blocks",
       [](Mem::Options& o) {
         o.block_bytes = 4096;
         o.region.size = (Mem::kMaxBlocks + 1) * 4096;
       }},
      {"an odd request", [](Mem::Options& o) { o.requested = 4096; }},
      {"a request beyond the region",
       [](Mem::Options& o) { o.requested = (kBlocks + 1) * kBlock; }},
  }));
  CAPTURE(row.name);
  auto bad = good;
  row.spoil(bad);
  CHECK_FALSE(Mem::create(bad));
  const auto mem = *Mem::create(good);
  CHECK_FALSE(mem->set_requested((kBlocks + 1) * kBlock));
  CHECK_FALSE(mem->set_requested(kBlock + 4096));
  CHECK(mem->requested() == kBlock);
}

TEST_CASE("chains that no driver sends are answered, and the device goes on", "[mem][hostile]") {
  Fixture fixture(GENERATE(false, true));
  for (const auto& chain : virtio_device::testing::hostile_chains()) {
    CAPTURE(chain.name);
    CHECK(virtio_device::testing::outlive(fixture.rig, 0, chain) == "");
    CHECK(fixture.plug(0, 1) == kAck);
    CHECK(fixture.unplug(0, 1) == kAck);
  }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost/iotlb_message.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "linux_vhost.h"

using namespace vmm;
using namespace vmm::vhost;
using vm_memory::Access;

namespace {

constexpr std::uint64_t kEnd = ~std::uint64_t{0};

IotlbMessage update() {
  return {.kind = IotlbKind::kUpdate,
          .iova = Iova(0xffff'0000),
          .bytes = 0xffff,
          .host = 0x7f00'0000'0000,
          .access = Access::kRead,
          .address_space = 0};
}

VhostError refused(const IotlbMessage& message, IotlbVersion version = IotlbVersion::kV2) {
  const auto bytes = encode(message, version);
  REQUIRE_FALSE(bytes);
  return bytes.error();
}

IotlbBytes raw(const vhost_msg_v2& message) {
  IotlbBytes bytes{};
  std::memcpy(bytes.data(), &message, sizeof(message));
  return bytes;
}

}  // namespace

TEST_CASE("a message is what the kernel reads", "[iotlb]") {
  const auto bytes = encode(update(), IotlbVersion::kV1);
  REQUIRE(bytes);
  vhost_msg message{};
  std::memcpy(&message, bytes->data(), sizeof(message));
  CHECK(message.type == VHOST_IOTLB_MSG);
  CHECK(message.iotlb.iova == 0xffff'0000);
  CHECK(message.iotlb.size == 0xffff);
  CHECK(message.iotlb.uaddr == 0x7f00'0000'0000);
  CHECK(message.iotlb.perm == VHOST_ACCESS_RO);
  CHECK(message.iotlb.type == VHOST_IOTLB_UPDATE);
}

TEST_CASE("a message of version 2 has an address space", "[iotlb]") {
  IotlbMessage message = update();
  message.address_space = 7;
  const auto bytes = encode(message, IotlbVersion::kV2);
  REQUIRE(bytes);
  vhost_msg_v2 there{};
  std::memcpy(&there, bytes->data(), sizeof(there));
  CHECK(there.type == VHOST_IOTLB_MSG_V2);
  CHECK(there.asid == 7);
  CHECK(there.iotlb.iova == 0xffff'0000);
  CHECK(refused(message, IotlbVersion::kV1) == VhostError::kNoAddressSpaces);
}

TEST_CASE("messages survive the way there and back", "[iotlb]") {
  const IotlbVersion version = GENERATE(IotlbVersion::kV1, IotlbVersion::kV2);
  for (const auto kind : {IotlbKind::kMiss, IotlbKind::kUpdate, IotlbKind::kInvalidate,
                          IotlbKind::kAccessFail, IotlbKind::kBatchBegin, IotlbKind::kBatchEnd}) {
    for (const Access access : {Access::kNone, Access::kRead, Access::kWrite, Access::kReadWrite}) {
      IotlbMessage message = update();
      message.kind = kind;
      message.access = access;
      const auto bytes = encode(message, version);
      REQUIRE(bytes);
      const auto back = decode(*bytes);
      REQUIRE(back);
      CHECK(*back == message);
    }
  }
}

TEST_CASE("mappings that cannot be are not sent", "[iotlb][hostile]") {
  const auto with = [](auto change) {
    IotlbMessage message = update();
    change(message);
    return message;
  };
  CHECK(refused(with([](auto& m) { m.host = 0; })) == VhostError::kBadMapping);
  CHECK(refused(with([](auto& m) { m.bytes = 0; })) == VhostError::kBadMapping);
  CHECK(refused(with([](auto& m) { m.iova = Iova(kEnd - 0xfffd); })) == VhostError::kBadMapping);
  CHECK(refused(with([](auto& m) { m.host = kEnd; })) == VhostError::kBadMapping);
  CHECK(encode(with([](auto& m) { m.iova = Iova(kEnd - 0xfffe); }), IotlbVersion::kV2));
  CHECK(refused(with([](auto& m) {
          m.kind = IotlbKind::kInvalidate;
          m.bytes = 0;
        })) == VhostError::kBadMapping);
  CHECK(encode(with([](auto& m) {
                 m.kind = IotlbKind::kInvalidate;
                 m.host = 0;
               }),
               IotlbVersion::kV2));
  CHECK(encode(IotlbMessage{.kind = IotlbKind::kBatchBegin}, IotlbVersion::kV2));
}

TEST_CASE("messages that make no sense are refused", "[iotlb][hostile]") {
  const auto good = encode(update(), IotlbVersion::kV2);
  REQUIRE(good);
  REQUIRE(decode(*good));
  for (std::size_t bytes = 0; bytes < kIotlbMessageBytes; ++bytes) {
    CHECK(decode(std::span(*good).first(bytes)).error() == VhostError::kBadMessage);
  }
  vhost_msg_v2 message{};
  std::memcpy(&message, good->data(), sizeof(message));
  for (const std::uint32_t type : {0u, 3u, 0xffff'ffffu}) {
    vhost_msg_v2 bad = message;
    bad.type = type;
    CHECK(decode(raw(bad)).error() == VhostError::kBadMessage);
  }
  for (int value = 0; value < 256; ++value) {
    vhost_msg_v2 kind = message;
    kind.iotlb.type = static_cast<std::uint8_t>(value);
    CHECK(decode(raw(kind)).has_value() == (value >= 1 && value <= 6));
    vhost_msg_v2 permission = message;
    permission.iotlb.perm = static_cast<std::uint8_t>(value);
    CHECK(decode(raw(permission)).has_value() == (value <= 3));
  }
}

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "host_program.h"
#include "vmm/sys_util/temp_directory.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_vsock/vsock.h"

namespace vmm::virtio_vsock {

using virtio_device::testing::Bytes;
using virtio_device::testing::bytes_of;
using virtio_device::testing::DeviceRig;

inline constexpr std::uint64_t kGuestCid = 3;
inline constexpr std::uint32_t kGuestPort = 5000;  // that tests connect from
inline constexpr std::uint32_t kHostPort = 1024;   // that they connect to
inline constexpr std::uint16_t kRx = 0, kTx = 1, kEvent = 2;

inline std::ostream& operator<<(std::ostream& out, Op op) {
  static constexpr const char* kNames[] = {"invalid",       "request",       "response",
                                           "reset",         "shutdown",      "data",
                                           "credit update", "credit request"};
  const auto index = static_cast<std::size_t>(op);
  return index < std::size(kNames) ? out << kNames[index] : out << "op " << index;
}

struct Packet {
  PacketHeader header;
  std::string payload;
};

struct Setup {
  Limits limits{};
  std::uint64_t features = kFeatureStream | kFeatureSeqpacket;
  bool packed = false;
  bool event_idx = false;
  std::uint32_t rx_buffers = 48;  ///< that the driver keeps on offer
  std::uint32_t rx_bytes = kHeaderBytes + 4096;
};

/// The device, its driver, and the host around it.
class Rig {
 public:
  explicit Rig(const Setup& setup = {})
      : setup_(setup),
        path(directory_.path() + "/vsock"),
        device(*Vsock::create({.cid = kGuestCid, .socket = path, .limits = setup.limits})),
        driver(device, {.packed = setup.packed,
                        .event_idx = setup.event_idx,
                        .features = setup.features,
                        .queue_size = 128}) {
    start();
  }

  void start() {
    REQUIRE(driver.start());
    for (std::uint32_t i = 0; i < setup_.rx_buffers; ++i) offer_rx();
    driver.run();
  }
  void offer_rx() { REQUIRE(driver.send(kRx, {.readable = {}, .writable = {setup_.rx_bytes}})); }
  void run_for(std::chrono::milliseconds time) {
    (void)driver.run_until([] { return false; }, time);
  }

  /// A packet of the guest's connection from `port`, as a good driver fills it in.
  [[nodiscard]] static PacketHeader packet(Op op, std::uint32_t port = kGuestPort,
                                           std::uint32_t host_port = kHostPort) {
    return {.src_cid = kGuestCid,
            .dst_cid = kHostCid,
            .src_port = port,
            .dst_port = host_port,
            .op = op,
            .buf_alloc = 256 << 10};
  }
  /// Sends the packet as it is, and lets the device answer. `len` is the payload's unless it is
  /// set.
  void send(PacketHeader header, std::string_view payload = {}) {
    if (header.len == 0) header.len = static_cast<std::uint32_t>(payload.size());
    send_raw({.readable = {bytes_of(header.wire()), bytes_of(payload)}, .writable = {}});
  }
  void send_raw(const virtio_device::testing::Request& request) {
    const auto answer = driver.exchange(kTx, request);
    REQUIRE(answer);
    CHECK(answer->written == 0);
    driver.run();
  }

  /// The next packet of the device; nothing when there is none.
  std::optional<Packet> receive() {
    const auto answer = driver.receive(kRx);
    if (!answer) return std::nullopt;
    if (refills) offer_rx();
    Packet packet;
    if (answer->written < kHeaderBytes) return packet;
    packet.header = PacketHeader::parse(answer->at<WireHeader>(0));
    packet.payload =
        std::string(reinterpret_cast<const char*>(answer->bytes.data()), answer->written)
            .substr(kHeaderBytes);
    CHECK(packet.header.len == packet.payload.size());
    return packet;
  }
  /// The next packet, which is one of this kind.
  Packet expect(Op op) { return checked(receive(), op); }
  /// The same for one that comes when the device has waited for something.
  Packet await(Op op) {
    std::optional<Packet> packet;
    driver.run_until([&] { return (packet = receive()).has_value(); });
    return checked(std::move(packet), op);
  }
  void expect_nothing() {
    if (const auto packet = receive()) FAIL("an unexpected " << packet->header.op);
  }

  /// Whether the device ends the connection, in time.
  [[nodiscard]] bool ends(const HostProgram& program) {
    return driver.run_until([&] { return program.at_end(); });
  }

  /// A connection from the guest to a program that listens at kHostPort; its end on the host.
  HostProgram open(std::uint32_t guest_port = kGuestPort, SocketType type = SocketType::kStream) {
    if (!listener) {
      listener = HostProgram::listen(path + "_" + std::to_string(kHostPort),
                                     type == SocketType::kStream ? SOCK_STREAM : SOCK_SEQPACKET);
    }
    PacketHeader request = packet(Op::kRequest, guest_port);
    request.type = type;
    send(request);
    CHECK(expect(Op::kResponse).header.type == type);
    HostProgram program = listener.accept();
    REQUIRE(program);
    return program;
  }
  /// Sends what a program of the host says first; the request that comes of it.
  Packet ask(const HostProgram& client, std::string_view line = "CONNECT 5000\n") {
    REQUIRE(client.send(line) == static_cast<ssize_t>(line.size()));
    driver.run();
    return expect(Op::kRequest);
  }
  /// Whether the device still serves.
  void check_alive() {
    const HostProgram program = open(65000);
    send(packet(Op::kReset, 65000));
    CHECK(program.at_end());
    expect_nothing();
    CHECK(driver.running());
  }

 private:
  static Packet checked(std::optional<Packet> packet, Op op) {
    REQUIRE(packet);
    CHECK(packet->header.op == op);
    CHECK(packet->header.src_cid == kHostCid);
    CHECK(packet->header.dst_cid == kGuestCid);
    return std::move(*packet);
  }

  Setup setup_;
  sys_util::TempDirectory directory_ = *sys_util::TempDirectory::create();

 public:
  std::string path;
  std::shared_ptr<Vsock> device;
  DeviceRig driver;
  HostProgram listener;
  bool refills = true;
};

}  // namespace vmm::virtio_vsock

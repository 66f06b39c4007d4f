// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A driver of the NVMe controller, at the client's end of a conversation.

#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <utility>

#include "../nvme_controller.h"
#include "vmm/base/payload.h"
#include "vmm/sys_util/mapping.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/vfio/device.h"
#include "vmm/vfio_user/remote_space.h"

namespace vmm::nvme {

inline constexpr std::uint64_t kIova = 0x10'0000;
inline constexpr std::uint64_t kMemory = 128 * kPage;
inline constexpr std::uint32_t kEntries = 8;

// Where things are in memory, in pages.
inline constexpr std::uint64_t kAdminQueue = 0, kAdminAnswers = 1, kQueue = 2, kAnswers = 3,
                               kList = 4, kData = 8;

constexpr std::uint64_t page(std::uint64_t number) { return kIova + number * kPage; }

/// A connected pair.
struct Ends {
  Ends() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    server.reset(ends[0]);
    client.reset(ends[1]);
  }
  UniqueFd server, client;
};

class DriverMemory {
 public:
  [[nodiscard]] std::byte* data() const { return mapping_.data(); }
  [[nodiscard]] vfio::DmaMemory for_devices(bool with_file) const {
    vfio::DmaMemory ram{.iova = kIova, .memory = mapping_.bytes(), .owner = nullptr};
    if (with_file) ram.fd = file_.fd();
    return ram;
  }

 private:
  sys_util::MemFd file_ = *sys_util::MemFd::create(kMemory);
  sys_util::Mapping mapping_ = *sys_util::Mapping::create(
      kMemory, {.protection = PROT_READ | PROT_WRITE, .flags = MAP_SHARED, .fd = file_.fd()});
};

/// The client's end. Memory without a file is reached by messages.
class Conversation {
 public:
  Conversation(UniqueFd socket, const DriverMemory& memory, bool with_file,
               vfio_user::UnmaskHook on_unmask_fd = nullptr)
      : space_(vfio_user::RemoteSpace::create({.client = {},
                                               .on_connect =
                                                   [this](const auto& client) {
                                                     client_ = client;
                                                     return Result<void>();
                                                   },
                                               .on_unmask_fd = std::move(on_unmask_fd)})),
        mapping_(*space_->map(memory.for_devices(with_file))),
        device_(*space_->connect(std::move(socket))) {}

  [[nodiscard]] vfio::Device& device() const { return *device_; }
  [[nodiscard]] vfio_user::Client& client() const { return *client_; }
  void unmap() { REQUIRE(mapping_.unmap()); }

 private:
  std::shared_ptr<vfio_user::Client> client_;
  std::shared_ptr<vfio_user::RemoteSpace> space_;
  vfio::DmaMapping mapping_;
  std::unique_ptr<vfio::Device> device_;
};

class Driver {
 public:
  /// The device is this one from now on.
  void use(vfio::Device& device) { device_ = &device; }

  void set(std::uint64_t offset, std::uint32_t value) const {
    REQUIRE(device_->write(0, offset, bytes_of(value)));
  }
  [[nodiscard]] std::uint32_t get(std::uint64_t offset) const {
    std::uint32_t value = 0;
    REQUIRE(device_->read(0, offset, std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }
  void enable() {
    set(kConfiguration, 0);
    set(kAdminSizes, (kEntries - 1) << 16 | (kEntries - 1));
    REQUIRE(device_->write(0, kAdminSubmissions, bytes_of(page(kAdminQueue))));
    REQUIRE(device_->write(0, kAdminCompletions, bytes_of(page(kAdminAnswers))));
    set(kConfiguration, 6 << 16 | 4 << 20 | kEnable);
    tails_ = {};
    heads_ = {};
    at<std::array<std::byte, 4 * kPage>>(kAdminQueue) = {};
  }
  template <class T>
  T& at(std::uint64_t page_number, std::size_t offset = 0) const {
    return *reinterpret_cast<T*>(memory.data() + page_number * kPage + offset);
  }

  /// Puts a command into a queue (0 or 1), without the doorbell.
  void put(unsigned queue, const Command& command) {
    const std::uint64_t where = queue == 0 ? kAdminQueue : kQueue;
    std::memcpy(&at<std::byte>(where, tails_[queue] * sizeof(Command)), &command, sizeof(command));
    tails_[queue] = (tails_[queue] + 1) % kEntries;
  }
  void ring(unsigned queue) const { set(kDoorbells + queue * 8, tails_[queue]); }
  /// The next answer, which may be one that is not there yet.
  [[nodiscard]] Completion peek(unsigned queue) const {
    const std::uint64_t where = queue == 0 ? kAdminAnswers : kAnswers;
    return at<Completion>(where, heads_[queue] * sizeof(Completion));
  }
  /// Takes an answer.
  Completion take(unsigned queue) {
    const Completion entry = peek(queue);
    heads_[queue] = (heads_[queue] + 1) % kEntries;
    set(kDoorbells + queue * 8 + 4, heads_[queue]);
    return entry;
  }
  Status run(unsigned queue, const Command& command) {
    put(queue, command);
    ring(queue);
    const Completion answer = take(queue);
    CHECK(answer.id == command.id);
    CHECK(answer.queue == queue);
    result = answer.result;
    return static_cast<Status>(answer.status >> 1);
  }
  Status create_queues(std::uint32_t vector = 1) {
    const Status made = run(0, {.opcode = 5,
                                .prp1 = page(kAnswers),
                                .words = {(kEntries - 1) << 16 | 1, vector << 16 | 3}});
    if (made != Status::kSuccess) return made;
    return run(
        0, {.opcode = 1, .prp1 = page(kQueue), .words = {(kEntries - 1) << 16 | 1, 1 << 16 | 1}});
  }

  DriverMemory memory;
  std::uint32_t result = 0;

 private:
  vfio::Device* device_ = nullptr;
  std::array<std::uint32_t, 2> tails_{};
  std::array<std::uint32_t, 2> heads_{};
};

inline Command transfer(bool write, std::uint64_t block, std::uint32_t blocks, std::uint64_t prp1,
                        std::uint64_t prp2 = 0) {
  return {.opcode = static_cast<std::uint8_t>(write ? 1 : 2),
          .id = 7,
          .name_space = 1,
          .prp1 = prp1,
          .prp2 = prp2,
          .words = {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
                    blocks - 1}};
}

}  // namespace vmm::nvme

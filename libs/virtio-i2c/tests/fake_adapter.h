// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// An I2C adapter of the test's own behind the kernel's ioctls. It stands in for a real one only
// because machines that run unit tests have none: tests/vhost-user/boards_test.py asks a kernel
// that has.

#include <linux/i2c-dev.h>
#include <linux/i2c.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "answered_ioctls.h"

namespace vmm::virtio_i2c::testing {

using Octets = std::vector<std::uint8_t>;

/// Threads: answers on one, is looked at by another, which waits meanwhile.
class FakeAdapter {
 public:
  static constexpr std::uint8_t kType = 0x07;  ///< of its ioctls

  struct Message {
    std::uint16_t address, flags, length;
    Octets written;

    friend bool operator==(const Message&, const Message&) = default;
  };
  struct Command {
    bool ten_bit;
    unsigned long address;
    std::uint8_t read_write, command;
    std::uint32_t size;
    Octets block;  ///< the first bytes of the data: those that the size has

    friend bool operator==(const Command&, const Command&) = default;
  };

  unsigned long functions = 0;
  std::vector<unsigned long> requests;          ///< all that was asked
  std::vector<std::vector<Message>> transfers;  ///< those of I2C_RDWR
  std::vector<Command> commands;                ///< those of I2C_SMBUS
  std::map<unsigned long, int> refused;         ///< request -> errno value
  std::optional<int> done;                      ///< what I2C_RDWR says that it did; nullopt: all
  Octets answer;                                ///< what reads get
  std::string wrong;                            ///< what no kernel takes

  int operator()(const vmm::testing::AskedIoctl& asked) {
    requests.push_back(asked.request);
    if (const auto found = refused.find(asked.request); found != refused.end()) {
      return -found->second;
    }
    auto* const argument = reinterpret_cast<void*>(asked.argument);
    switch (asked.request) {
      case I2C_FUNCS:
        std::memcpy(argument, &functions, sizeof(functions));
        return 0;
      case I2C_RDWR:
        return transfer(*static_cast<i2c_rdwr_ioctl_data*>(argument));
      case I2C_TENBIT:
        ten_bit_ = asked.argument != 0;
        return 0;
      case I2C_SLAVE:
        if (asked.argument > (ten_bit_ ? 0x3ff : 0x7f)) return refuse("address");
        address_ = asked.argument;
        return 0;
      case I2C_SMBUS:
        return execute(*static_cast<i2c_smbus_ioctl_data*>(argument));
      default:
        return refuse("request");
    }
  }

 private:
  int refuse(const char* what) {
    wrong += what;
    wrong += "; ";
    return -EINVAL;
  }
  int transfer(const i2c_rdwr_ioctl_data& request) {
    if (request.nmsgs == 0 || request.nmsgs > I2C_RDWR_IOCTL_MAX_MSGS) return refuse("messages");
    std::vector<Message>& list = transfers.emplace_back();
    std::size_t taken = 0;
    for (std::uint32_t i = 0; i < request.nmsgs; ++i) {
      const i2c_msg& message = request.msgs[i];
      if (message.len > 8192) return refuse("length");
      list.push_back({message.addr, message.flags, message.len, {}});
      if ((message.flags & I2C_M_RD) == 0) {
        list.back().written.assign(message.buf, message.buf + message.len);
      } else {
        for (std::size_t j = 0; j < message.len && taken < answer.size(); ++j) {
          message.buf[j] = answer[taken++];
        }
      }
    }
    return done.value_or(static_cast<int>(request.nmsgs));
  }
  int execute(const i2c_smbus_ioctl_data& request) {
    if (request.data == nullptr) return refuse("data");
    std::size_t bytes = 0;
    switch (request.size) {
      case I2C_SMBUS_BYTE_DATA:
        bytes = 1;
        break;
      case I2C_SMBUS_WORD_DATA:
      case I2C_SMBUS_PROC_CALL:
        bytes = 2;
        break;
      case I2C_SMBUS_BLOCK_DATA:
      case I2C_SMBUS_I2C_BLOCK_DATA:
        if (request.data->block[0] == 0 || request.data->block[0] > I2C_SMBUS_BLOCK_MAX) {
          return refuse("length of a block");
        }
        bytes = std::size_t{1} + request.data->block[0];
        break;
      default:
        break;
    }
    const std::uint8_t* const block = request.data->block;
    commands.push_back({ten_bit_, address_, request.read_write, request.command, request.size,
                        Octets(block, block + bytes)});
    if (request.read_write == I2C_SMBUS_READ && !answer.empty()) {
      std::memcpy(request.data->block, answer.data(), answer.size());
    }
    return 0;
  }

  bool ten_bit_ = false;
  unsigned long address_ = ~0ul;
};

}  // namespace vmm::virtio_i2c::testing

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_i2c/host_adapter.h"

#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>

#include <array>
#include <cerrno>

#include "smbus.h"
#include "vmm/sys_util/ioctl.h"

namespace vmm::virtio_i2c {
namespace {

static_assert(Adapter::kMaxMessages == I2C_RDWR_IOCTL_MAX_MSGS);

constexpr unsigned long kSmbusCommands = I2C_FUNC_SMBUS_EMUL & ~I2C_FUNC_SMBUS_PEC;

}  // namespace

Result<std::shared_ptr<HostAdapter>> HostAdapter::open(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) return fail(Error::from_errno("open I2C adapter"));
  unsigned long functions = 0;
  VMM_TRY_DO(sys_util::ioctl(file.get(), VMM_IOCTL(I2C_FUNCS), &functions));
  if ((functions & (I2C_FUNC_I2C | kSmbusCommands)) == 0) {
    return fail(Error::os(ENOTSUP, "I2C adapter without I2C and SMBus"));
  }
  return std::shared_ptr<HostAdapter>(new HostAdapter(std::move(file), functions));
}

Result<std::shared_ptr<HostAdapter>> HostAdapter::open(unsigned bus) {
  return open("/dev/i2c-" + std::to_string(bus));
}

Result<void> HostAdapter::transfer(std::span<const Message> messages) {
  for (const Message& message : messages) {
    if (message.address.ten_bit && (functions_ & I2C_FUNC_10BIT_ADDR) == 0) {
      return fail(Error::os(ENOTSUP, "I2C address of 10 bits"));
    }
  }
  return (functions_ & I2C_FUNC_I2C) != 0 ? transfer_i2c(messages) : transfer_smbus(messages);
}

Result<void> HostAdapter::transfer_i2c(std::span<const Message> messages) {
  std::array<i2c_msg, kMaxMessages> list;
  if (messages.size() > list.size()) return fail(Error::os(EINVAL, "I2C_RDWR"));
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    const unsigned flags =
        (message.read ? I2C_M_RD : 0) | (message.address.ten_bit ? I2C_M_TEN : 0);
    list[i] = {.addr = message.address.number,
               .flags = static_cast<std::uint16_t>(flags),
               .len = static_cast<std::uint16_t>(message.data.size()),
               .buf = reinterpret_cast<std::uint8_t*>(message.data.data())};
  }
  i2c_rdwr_ioctl_data request{.msgs = list.data(),
                              .nmsgs = static_cast<std::uint32_t>(messages.size())};
  VMM_TRY(const int done, sys_util::ioctl(file_.get(), VMM_IOCTL(I2C_RDWR), &request));
  if (static_cast<std::size_t>(done) != messages.size()) return fail(Error::os(EIO, "I2C_RDWR"));
  return {};
}

Result<void> HostAdapter::transfer_smbus(std::span<const Message> messages) {
  VMM_TRY(SmbusCommand command, to_smbus(messages, functions_));
  const MutexLock lock(smbus_);
  VMM_TRY_DO(sys_util::ioctl(file_.get(), VMM_IOCTL(I2C_TENBIT),
                             std::uintptr_t{command.address.ten_bit ? 1u : 0u}));
  VMM_TRY_DO(
      sys_util::ioctl(file_.get(), VMM_IOCTL(I2C_SLAVE), std::uintptr_t{command.address.number}));
  i2c_smbus_ioctl_data request{.read_write = command.read_write,
                               .command = command.command,
                               .size = command.size,
                               .data = &command.data};
  VMM_TRY_DO(sys_util::ioctl(file_.get(), VMM_IOCTL(I2C_SMBUS), &request));
  return messages.back().read ? take_answer(command, messages.back().data) : Result<void>{};
}

}  // namespace vmm::virtio_i2c

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/remote_space.h"

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "vmm/sys_util/fd_flags.h"
#include "vmm/sys_util/unix_socket.h"

namespace vmm::vfio_user {
namespace {

/// A device's conversation, and the kernel that it makes of it.
class RemoteAttachment final : public vfio::Attachment {
 public:
  RemoteAttachment(std::shared_ptr<vfio::AddressSpace> space, std::shared_ptr<Client> client,
                   UnmaskHook hook)
      : space_(std::move(space)), kernel_(std::move(client), std::move(hook)) {}

  Result<std::vector<std::int32_t>> prove(std::span<const vfio::ResetNeighbour>,
                                          std::uint32_t) const override {
    return fail(Error::os(ENOTSUP, "reset a bus"));
  }
  RemoteKernel& kernel() { return kernel_; }

 private:
  std::shared_ptr<vfio::AddressSpace> space_;
  RemoteKernel kernel_;
};

constexpr std::uint64_t kWordsAtOnce = 4096;  // of a bitmap; far from what a message takes

/// Adds the pages of a range that a device has written; the range fits into one message. What the
/// answer has beyond the range is not looked at.
Result<void> read_log(Client& client, const LogReport& range, std::span<std::uint64_t> bitmap) {
  VMM_TRY(const auto answer, client.feature(kFeatureLogReport | Feature::kGet, bytes_of(range)));
  const std::uint64_t pages = range.bytes / range.page_bytes;
  const std::uint64_t words = (pages - 1) / 64 + 1;
  if (answer.size() != sizeof(LogReport) + words * sizeof(std::uint64_t)) {
    return fail(UserError::kBadSize);
  }
  if (*front_as<LogReport>(answer) != range) return fail(UserError::kBadReply);
  const auto bits = std::span(answer).subspan(sizeof(LogReport));
  for (std::uint64_t i = 0; i < words; ++i) {
    const std::uint64_t left = pages - i * 64;
    const std::uint64_t mask = left < 64 ? (std::uint64_t{1} << left) - 1 : ~std::uint64_t{0};
    bitmap[i] |= *front_as<std::uint64_t>(bits.subspan(i * sizeof(std::uint64_t))) & mask;
  }
  return {};
}

}  // namespace

RemoteSpace::RemoteSpace(Options options)
    : AddressSpace(vfio::host_kernel(), {.interface = vfio::Interface::kUser}),
      user_options_(std::move(options)) {}
RemoteSpace::~RemoteSpace() = default;

std::shared_ptr<RemoteSpace> RemoteSpace::create() { return create(Options{}); }

std::shared_ptr<RemoteSpace> RemoteSpace::create(Options options) {
  return std::shared_ptr<RemoteSpace>(new RemoteSpace(std::move(options)));
}

std::vector<std::shared_ptr<Client>> RemoteSpace::clients() {
  std::vector<std::shared_ptr<Client>> alive;
  for (const auto& weak : clients_) {
    auto client = weak.lock();
    if (client != nullptr && !client->over()) alive.push_back(std::move(client));
  }
  clients_.assign(alive.begin(), alive.end());
  return alive;
}

Result<std::unique_ptr<vfio::Device>> RemoteSpace::attach(const std::string& socket_path) {
  VMM_TRY(auto socket, sys_util::connect_unix(socket_path));
  return connect(std::move(socket));
}

SharedMemory RemoteSpace::shared(std::uint64_t iova, const Entry& entry) {
  return {.iova = iova,
          .memory = entry.memory,
          .owner = entry.owner,
          .device_reads = true,
          .device_writes = entry.device_writes,
          .fd = entry.fd,
          .fd_offset = entry.fd_offset};
}

Result<std::unique_ptr<vfio::Device>> RemoteSpace::connect(UniqueFd socket) {
  // vfio::Device has a descriptor of its own, which is not used.
  VMM_TRY(UniqueFd fd, sys_util::duplicate(socket.get(), "duplicate a vfio-user socket"));
  const auto end = std::chrono::steady_clock::now() + user_options_.client.patience;
  VMM_TRY(auto client, Client::connect(std::move(socket), user_options_.client));
  client->limit(end);
  auto device = make_device(client, std::move(fd));
  // Who serves the conversation keeps it up to its end, and with it what the server may do.
  if (!device) client->end();
  client->limit(Channel::Deadline::max());
  return device;
}

Result<std::unique_ptr<vfio::Device>> RemoteSpace::make_device(
    const std::shared_ptr<Client>& client, UniqueFd fd) {
  if (user_options_.on_connect) VMM_TRY_DO(user_options_.on_connect(client));
  VMM_TRY_DO(take(client));
  const auto attachment =
      std::make_shared<RemoteAttachment>(shared_from_this(), client, user_options_.on_unmask_fd);
  return vfio::Device::create(attachment->kernel(), std::move(fd), attachment);
}

Result<void> RemoteSpace::take(const std::shared_ptr<Client>& client) {
  const MutexLock lock(mutex_);
  for (const auto& [iova, entry] : entries()) VMM_TRY_DO(client->share(shared(iova, entry)));
  clients_.push_back(client);
  return {};
}

// A server that goes away meanwhile is not the others' matter.
Result<void> RemoteSpace::kernel_map(std::uint64_t iova, const Entry& entry) {
  const SharedMemory memory = shared(iova, entry);
  const auto all = clients();
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto done = all[i]->share(memory);
    if (done || all[i]->over()) continue;
    for (std::size_t k = 0; k < i; ++k) (void)all[k]->unshare(iova, entry.memory.size());
    return done;
  }
  return {};
}

Result<void> RemoteSpace::kernel_unmap(vfio::DmaSpan range) {
  Result<void> result;
  for (const auto& client : clients()) {
    auto done = client->unshare(range.iova, range.bytes);
    if (!done) result = std::move(done);
  }
  return result;
}

Result<std::vector<vfio::DmaSpan>> RemoteSpace::kernel_usable() {
  return std::vector<vfio::DmaSpan>{vfio::span_between(0, UINT64_MAX)};
}

Result<void> RemoteSpace::kernel_set_dirty_tracking(bool on) {
  constexpr LogStart kEverything{.page_bytes = 4096, .count = 0, .reserved = 0};
  for (const auto& client : clients()) {
    if (on) {
      VMM_TRY_DO(client->feature(kFeatureLogStart | Feature::kSet, bytes_of(kEverything)));
    } else {
      VMM_TRY_DO(client->feature(kFeatureLogStop | Feature::kSet, {}));
    }
  }
  return {};
}

Result<void> RemoteSpace::kernel_read_dirty(vfio::DmaSpan range, std::uint64_t page_bytes,
                                            std::span<std::uint64_t> bitmap) {
  const std::uint64_t pages = range.bytes / page_bytes;
  for (const auto& client : clients()) {
    for (std::uint64_t page = 0; page < pages; page += kWordsAtOnce * 64) {
      const LogReport part{.iova = range.iova + page * page_bytes,
                           .bytes = std::min(pages - page, kWordsAtOnce * 64) * page_bytes,
                           .page_bytes = page_bytes};
      VMM_TRY_DO(read_log(*client, part, bitmap.subspan(page / 64)));
    }
  }
  return {};
}

}  // namespace vmm::vfio_user

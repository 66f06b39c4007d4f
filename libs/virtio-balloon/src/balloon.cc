// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_balloon/balloon.h"

#include <cerrno>
#include <utility>

#include "balloon_worker.h"
#include "config.h"
#include "given_pages.h"
#include "shared.h"

namespace vmm::virtio_balloon {

Balloon::Balloon(std::uint64_t features, std::shared_ptr<Reclaim> reclaim,
                 std::shared_ptr<Shared> shared)
    : features_(features), reclaim_(std::move(reclaim)), shared_(std::move(shared)) {}

Balloon::~Balloon() = default;

Result<std::shared_ptr<Balloon>> Balloon::create(Options options) {
  if (options.target > kMaxBytes) return fail(Error::os(EINVAL, "virtio balloon"));
  VMM_TRY(auto request, sys_util::EventFd::create());
  std::uint64_t features =
      kFeatureMustTellHost | kFeatureStatistics | virtio_queue::kFeatureInOrder;
  if (options.deflate_on_oom) features |= kFeatureDeflateOnOom;
  if (options.page_reporting) features |= kFeaturePageReporting | kFeaturePagePoison;
  if (options.reclaim == nullptr) options.reclaim = make_discarding_reclaim();
  return std::shared_ptr<Balloon>(
      new Balloon(features, std::move(options.reclaim),
                  std::make_shared<Shared>(static_cast<std::uint32_t>(options.target / kPageBytes),
                                           std::move(request))));
}

Result<void> Balloon::set_target(std::uint64_t bytes) {
  if (bytes > kMaxBytes) return fail(Error::os(EINVAL, "balloon size"));
  shared_->set_target(static_cast<std::uint32_t>(bytes / kPageBytes));
  return {};
}

std::uint64_t Balloon::target() const { return shared_->target() * kPageBytes; }

std::uint64_t Balloon::actual() const { return shared_->actual() * kPageBytes; }

void Balloon::request_statistics() { (void)shared_->request().add(); }

std::optional<Statistics> Balloon::statistics() const { return shared_->statistics(); }

std::size_t Balloon::config_bytes() const { return sizeof(Config); }

void Balloon::read_config(std::span<std::byte> config) { shared_->read_config(config); }

void Balloon::write_config(std::uint64_t offset, std::span<const std::byte> data) {
  shared_->write_config(offset, data);
}

Result<virtio_device::WorkerList> Balloon::activate(virtio_device::Activation activation) {
  shared_->attach(activation.interrupt);
  virtio_device::WorkerList workers;
  workers.push_back(std::make_unique<BalloonWorker>(shared_, reclaim_, std::move(activation)));
  return workers;
}

void Balloon::reset() { shared_->reset(); }

}  // namespace vmm::virtio_balloon

// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The example of README.md.

#include "blk_rig.h"

namespace vmm::virtio_blk {
namespace {

Result<std::shared_ptr<virtio_blk::Blk>> make_disk(const std::string& path) {
  VMM_TRY(std::shared_ptr<block::Image> image,
          block::open_image(path, {.format = block::ImageFormat::kRaw}));
  const rate_limiter::RateLimits limits{
      .bandwidth = {.size = 1 << 20, .one_time_burst = 0, .refill_ms = 1000}, .operations = {}};
  return virtio_blk::Blk::create(std::move(image),
                                 {.queues = 4,
                                  .serial = "disk-1",
                                  .limiter = std::make_shared<rate_limiter::RateLimiter>(limits)});
}

TEST_CASE("the example of the README works", "[blk]") {
  const auto file = sys_util::TempFile::create();
  REQUIRE(file);
  const auto disk = make_disk(file->path());
  REQUIRE(disk);
  CHECK((*disk)->queue_sizes().size() == 4);
  CHECK_FALSE(make_disk("/does/not/exist"));
}

}  // namespace
}  // namespace vmm::virtio_blk

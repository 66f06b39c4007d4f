// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// vhost-user-rng: random bytes for a VM of another program.

#include "vmm/virtio_rng/rng.h"

#include <memory>
#include <string>

#include "daemon_program.h"
#include "vmm/rate_limiter/rate_limiter.h"

namespace {

using namespace vmm;
using vhost_user_daemon::parse_number;

constexpr std::uint64_t kPeriodMs = 65536;  // QEMU's

std::shared_ptr<rate_limiter::RateLimiter> limiter_of(std::uint64_t bytes, std::uint64_t period) {
  if (bytes == 0) return nullptr;
  const rate_limiter::RateLimits limits{.bandwidth = {.size = bytes, .refill_ms = period},
                                        .operations = {}};
  return std::make_shared<rate_limiter::RateLimiter>(limits);
}

}  // namespace

int main(int argc, char** argv) {
  std::string source = "/dev/urandom";
  std::uint64_t bytes = 0;
  std::uint64_t period = kPeriodMs;
  vhost_user_daemon::Program program{
      .name = "vhost-user-rng",
      .type = "rng",
      .features = {},
      .options =
          {{"filename", "PATH", "where the bytes come from (default /dev/urandom)",
            [&](std::string_view value) {
              source = value;
              return !value.empty();
            }},
           {"max-bytes", "N", "in a period (default: any number)",
            [&](std::string_view value) { return parse_number(value, bytes) && bytes != 0; }},
           {"period", "MS", "of --max-bytes, in milliseconds (default 65536)",
            [&](std::string_view value) { return parse_number(value, period) && period != 0; }}},
      .make_device =
          [&](event_manager::EventLoop&) -> Result<std::shared_ptr<virtio_device::VirtioDevice>> {
        VMM_TRY(auto rng, virtio_rng::Rng::open(source, limiter_of(bytes, period)));
        return std::shared_ptr<virtio_device::VirtioDevice>(std::move(rng));
      }};
  return vhost_user_daemon::run(program, argc, argv);
}

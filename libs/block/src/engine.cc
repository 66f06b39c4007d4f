// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/block/engine.h"

#include <cerrno>
#include <utility>

#include "sync_engine.h"
#include "uring_engine.h"

namespace vmm::block {

Result<std::unique_ptr<Engine>> Engine::create(const Options& options) {
  if (options.depth == 0 || options.depth > kMaxDepth) {
    return fail(Error::os(EINVAL, "the depth of a block engine"));
  }
  if (options.kind != EngineKind::kSync) {
    auto uring = UringEngine::create(options);
    if (uring) return std::unique_ptr<Engine>(*std::move(uring));
    if (options.kind == EngineKind::kUring) return fail(uring.error());
  }
  return std::unique_ptr<Engine>(std::make_unique<SyncEngine>(options.depth));
}

}  // namespace vmm::block

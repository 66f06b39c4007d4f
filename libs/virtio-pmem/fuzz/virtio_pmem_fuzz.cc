// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

#include "device_fuzz.h"
#include "vmm/virtio_pmem/pmem.h"

namespace {

/// Fails when the script says so.
class FickleFlusher final : public vmm::virtio_pmem::Flusher {
 public:
  explicit FickleFlusher(const bool& fails) : fails_(fails) {}
  vmm::Result<void> flush() override {
    if (fails_) return vmm::fail(vmm::Error::os(EIO, "flush"));
    return {};
  }

 private:
  const bool& fails_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  bool fails = false;
  const auto pmem = *vmm::virtio_pmem::Pmem::create(std::make_unique<FickleFlusher>(fails));
  fuzz_device(pmem, input, [&](Input& script) { fails = (script.byte() & 1) != 0; });
  return 0;
}

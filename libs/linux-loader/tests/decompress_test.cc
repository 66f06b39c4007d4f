// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "src/decompress.h"

#include <catch2/catch.hpp>
#include <cstdint>

#include "builders.h"
#include "compressed.h"
#include "vmm/linux_loader/load_error.h"

namespace vmm::linux_loader {
namespace {

using namespace testing;

Bytes zstd_with_checksum(const Bytes& plain) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  Bytes packed(ZSTD_compressBound(plain.size()));
  packed.resize(ZSTD_compress2(context, packed.data(), packed.size(), plain.data(), plain.size()));
  ZSTD_freeCCtx(context);
  return packed;
}

// The last bytes are a checksum, which comes when all of the content is out.
TEST_CASE("a stream without its end is truncated, however much came out of it",
          "[compressed][hostile]") {
  const bool with_gzip = GENERATE(true, false);
  Bytes plain(300'000);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    plain[i] = static_cast<std::byte>(i * i >> 7);
  }
  const Content content = with_gzip ? Content::kGzip : Content::kZstd;
  const Bytes packed = with_gzip ? gzip(plain) : zstd_with_checksum(plain);
  const Scratch scratch = *Scratch::create(plain.size());
  const auto whole = decompress(ImageSource::from_bytes(packed), content, scratch.bytes());
  REQUIRE(whole);
  CHECK(*whole == plain.size());
  for (const std::size_t cut : {1u, 2u, 3u, 4u, 5u, 100u}) {
    CAPTURE(with_gzip, cut);
    const Bytes front(packed.begin(), packed.end() - static_cast<std::ptrdiff_t>(cut));
    const auto bytes = decompress(ImageSource::from_bytes(front), content, scratch.bytes());
    REQUIRE_FALSE(bytes);
    CHECK(is(bytes.error(), LoadError::kTruncated));
  }
  const auto narrow =
      decompress(ImageSource::from_bytes(packed), content, scratch.bytes().first(plain.size() - 1));
  REQUIRE_FALSE(narrow);
  CHECK(is(narrow.error(), LoadError::kTooLarge));
}

}  // namespace
}  // namespace vmm::linux_loader

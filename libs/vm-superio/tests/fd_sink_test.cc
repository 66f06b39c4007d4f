// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/fd_sink.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <string>
#include <string_view>

#include "fd_pairs.h"

namespace {

using namespace vmm;
using namespace vmm::vm_superio;

std::size_t put(FdSink& sink, std::string_view text) {
  return sink.write(std::as_bytes(std::span(text)));
}

TEST_CASE("bytes go to the descriptor at once", "[fd-sink]") {
  Pipe pipe(O_CLOEXEC | O_NONBLOCK);
  FdSink sink(std::move(pipe.write));
  CHECK(put(sink, "hello\n") == 6);
  CHECK(pipe.drain() == "hello\n");
  CHECK_FALSE(sink.has_backlog());
}

TEST_CASE("a full descriptor makes a bounded backlog, kept in order", "[fd-sink][hostile]") {
  Pipe pipe(O_CLOEXEC | O_NONBLOCK);
  REQUIRE(::fcntl(pipe.write.get(), F_SETPIPE_SZ, 4096) == 4096);
  FdSink sink(std::move(pipe.write), 1000);
  const std::string page(4096, 'a');
  CHECK(put(sink, page) == 4096);
  CHECK_FALSE(sink.has_backlog());
  CHECK(put(sink, std::string(600, 'b')) == 600);
  CHECK(sink.has_backlog());
  CHECK(put(sink, std::string(600, 'c')) == 400);  // the backlog is full
  CHECK(put(sink, "d") == 0);
  sink.process();  // still nothing to be done
  CHECK(sink.has_backlog());
  CHECK(pipe.drain() == page);
  sink.process();
  CHECK_FALSE(sink.has_backlog());
  CHECK(put(sink, "e") == 1);
  CHECK(pipe.drain() == std::string(600, 'b') + std::string(400, 'c') + "e");
}

TEST_CASE("a reader that is gone loses the output and blocks nobody", "[fd-sink][hostile]") {
  std::signal(SIGPIPE, SIG_IGN);
  Pipe pipe(O_CLOEXEC | O_NONBLOCK);
  pipe.read.reset();
  FdSink sink(std::move(pipe.write));
  CHECK(put(sink, "x") == 0);
  CHECK_FALSE(sink.has_backlog());
}

}  // namespace

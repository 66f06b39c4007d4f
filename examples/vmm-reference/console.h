// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "config.h"
#include "failure.h"
#include "socket_relay.h"
#include "vmm/base/unique_fd.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/sys_util/terminal.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/vm_superio/byte_sink.h"
#include "vmm/vm_superio/fd_sink.h"

namespace vmm::reference {

/// The host's end of a character device. It outlives the machines that use it, so that a reset of
/// the guest keeps the terminal, the pty and the file.
class Console final : public vm_superio::ByteSink {
 public:
  enum class Terminal {
    kOwn,
    kShared,  ///< another console has its input and its settings: this one only writes to it
  };

  /// Opens what `config` asks for. `option` ("--serial") begins the messages of failures.
  static Outcome<std::unique_ptr<Console>> open(std::string_view option,
                                                const ConsoleConfig& config,
                                                Terminal terminal = Terminal::kOwn);

  /// Takes away a file that was made for nothing, as begin() was never called.
  ~Console() override;

  /// Says that there is going to be output: truncates the file. Once is enough.
  void begin();

  /// Whether the guest is to have the device at all.
  [[nodiscard]] bool present() const { return mode_ != ConsoleConfig::Mode::kOff; }

  /// Output from the guest; called from vCPU threads. Waits for a slow reader of the terminal, pipe
  /// or file; a pty that nobody reads keeps a bounded backlog instead.
  std::size_t write(std::span<const std::byte> bytes) override;
  /// Whether write() waits, as it does at first. Who calls it from the control thread may not.
  void set_patient(bool patient) { patient_.store(patient); }

  /// The same without waiting: takes as many bytes as there is room for.
  std::size_t write_ready(std::span<const std::byte> bytes);
  /// What gets writable when there is room for write_ready(); -1 when what it does not take is
  /// lost.
  [[nodiscard]] int room_fd() const { return slow_ ? output_.get() : -1; }

  /// Where input comes from; -1 when there is none.
  [[nodiscard]] int input_fd() const { return input_; }
  /// Reads what is there, at most bytes.size(). 0: nothing now, or never again (see at_end()).
  std::size_t read_input(std::span<std::byte> bytes);
  /// Whether the input is at its end and is no longer worth waiting for.
  [[nodiscard]] bool at_end() const { return at_end_; }
  /// Of the terminal or pty at the host's end; not known for other modes.
  [[nodiscard]] sys_util::WindowSize window_size() const {
    return sys_util::window_size_of(output_.get());
  }
  /// Whether the user typed the escape that ends the VMM (with escape=on).
  [[nodiscard]] bool quit_requested() const { return quit_; }
  /// Lets `loop` write a backlog as its reader takes it, and serve the clients of a socket; empty
  /// for other modes.
  Outcome<event_manager::Registration> watch_output(event_manager::EventLoop& loop);
  /// The settings to restore when the program is ended by force.
  [[nodiscard]] const sys_util::TerminalSettings& terminal_before() const { return raw_.before(); }
  /// The path of the pty that was made, or "".
  [[nodiscard]] const std::string& pty_path() const { return pty_path_; }

 private:
  explicit Console(const ConsoleConfig& config) : mode_(config.mode), escape_(config.escape) {}
  Outcome<void> open_tty(std::string_view option, Terminal terminal);
  Outcome<void> open_pty(std::string_view option);
  Outcome<void> open_socket(std::string_view option, const std::string& path);
  Outcome<void> open_file(std::string_view option, const std::string& path);
  /// Has output that nobody takes kept; what is typed comes from there, too.
  Outcome<void> keep_output(const std::string& context);
  std::size_t write_all(std::span<const std::byte> bytes);
  std::size_t filter_escape(std::span<std::byte> bytes);

  ConsoleConfig::Mode mode_;
  bool slow_ = false;  // what is written to may make its writer wait
  std::atomic<bool> patient_{true};
  bool escape_;
  bool escape_seen_ = false;  // the last byte was Ctrl-a
  bool quit_ = false;
  bool at_end_ = false;
  UniqueFd output_;
  std::optional<vm_superio::FdSink> kept_output_;
  int input_ = -1;
  sys_util::RawTerminal raw_;
  UniqueFd pty_peer_;  // keeps the pty alive while nobody else has it open
  std::string pty_path_;
  std::string file_path_;  // of mode kFile until begin()
  bool file_is_new_ = false;
  std::optional<sys_util::UnixListener> listener_;  // of mode kSocket, as the next two
  UniqueFd relay_end_;                              // until watch_output()
  std::unique_ptr<SocketRelay> relay_;
};

}  // namespace vmm::reference

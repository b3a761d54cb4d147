// What the edge asks of the rest of the server: who somebody is, whether they may go where they want, what
// leads there. The room knows neither bastions nor recordings; the server brings an implementation
// (services/bastion_ssh).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/ip.h"
#include "base/json.h"
#include "base/result.h"
#include "base/secret.h"
#include "ssh/descriptor.h"

namespace merlon::ssh {

struct Source {
  IpAddress address;
  uint16_t port = 0;
};

// Somebody who has signed in; what else is known of them is the implementation's.
class Person {
 public:
  virtual ~Person() = default;
  virtual std::string name() const = 0;
};

struct Destination {
  std::string machine, login, bastion;  // bastion: empty = the one that covers the machine
  uint16_t port = 22;
  std::string client;  // the client's own version line
};

// What may go through.
struct Allowed {
  bool shell = true, commands = true, forwarding = true, upload = true, download = true;
  bool clipboard = true;  // for a page to heed: a terminal's bytes do not say where they come from
  bool recorded = true;   // else output need not be told
  std::optional<Duration> idle_max;
  std::optional<Timestamp> deadline;
  // Not empty: nothing passes before a notice says so, and this is why.
  std::string held_because{};
};

// What somebody signs in with at a machine, and the person who comes that way never has: a password, or a
// private key as a file has it (OpenSSH's form or PEM), perhaps under a passphrase.
struct MachineSecret {
  Secret password;
  Secret private_key, passphrase;
};

// A connection to the machine's SSH server, with what to expect there and what to show: a key with a
// certificate of minutes, or a secret.
struct Connected {
  Descriptor socket;
  std::vector<std::string> host_keys;  // lines "kind blob": the machine must show one of them
  Secret private_key;                  // OpenSSH's form
  std::string certificate;             // a line
  // Fetches the secret, once the machine has been recognised. Waits: from a worker.
  std::function<Result<MachineSecret>()> secret{};
};

struct Notice {
  bool ends = false;  // else it is a warning
  std::string reason, message;
  std::optional<bool> hold{};  // of a warning: from now on nothing passes, or everything again
};

// One session that was admitted. Calls come from one thread at a time. Its destruction ends it.
class Passage {
 public:
  virtual ~Passage() = default;
  virtual const Allowed& allowed() const = 0;
  virtual Result<Connected> connect() = 0;  // waits: from a worker
  // `tell` comes from any thread, and must not block.
  virtual void watch(std::function<void(const Notice&)> tell) = 0;
  // For the recording; return quickly. An error: what is required cannot be written, so the session must end.
  virtual Result<void> output(std::string_view bytes) = 0;
  virtual Result<void> input(std::string_view bytes) = 0;  // what no echo shows
  virtual Result<void> resize(int64_t columns, int64_t rows) = 0;
  virtual Result<void> fact(std::string_view kind, JsonObject facts) = 0;
  // How long nothing more of it should be read, so that its recording stays within its rate.
  virtual Duration wait() const { return Duration(0); }
  // Once; waits: from a worker.
  virtual void end(std::string_view reason, std::string_view message, const JsonObject& facts) = 0;
};

struct DeviceCode {
  std::string page, code;
  Secret secret;
};

// Everything here may wait: it is called from workers.
class Desk {
 public:
  virtual ~Desk() = default;
  // Errors are refusals, and enter themselves where they must be entered.
  virtual Result<std::unique_ptr<Person>> by_key(ByteView key_or_certificate, const Source& source) = 0;
  virtual Result<DeviceCode> start_device(const Source& source) = 0;
  // Nothing while nobody has answered.
  virtual Result<std::unique_ptr<Person>> poll_device(const DeviceCode& code, const Source& source) = 0;
  virtual Result<std::unique_ptr<Passage>> admit(const Person& person, const Destination& to,
                                                 const Source& source) = 0;
  virtual Secret host_key() = 0;
};

}  // namespace merlon::ssh

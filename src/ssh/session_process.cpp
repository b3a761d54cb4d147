// Give everything up, then read.
#include "ssh/session_process.h"

#include <malloc.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "base/log.h"
#include "ssh/algorithms.h"
#include "ssh/browser_end.h"
#include "ssh/person_end.h"
#include "ssh/sandbox.h"

namespace merlon::ssh {
namespace {

constexpr int kTickMs = 250;

bool set(ssh_bind bind, ssh_bind_options_e option, const char* value) {
  return ssh_bind_options_set(bind, option, value) == SSH_OK;
}

Result<BindHandle> prepare_bind(const std::string& host_key) {
  BindHandle bind(ssh_bind_new());
  ssh_key key = nullptr;
  const bool no = false;
  const bool good =
      bind && ssh_bind_options_set(bind.get(), SSH_BIND_OPTIONS_PROCESS_CONFIG, &no) == SSH_OK &&
      set(bind.get(), SSH_BIND_OPTIONS_KEY_EXCHANGE, algorithms::kKeyExchange) &&
      set(bind.get(), SSH_BIND_OPTIONS_CIPHERS_C_S, algorithms::kCiphers) &&
      set(bind.get(), SSH_BIND_OPTIONS_CIPHERS_S_C, algorithms::kCiphers) &&
      set(bind.get(), SSH_BIND_OPTIONS_HMAC_C_S, algorithms::kMacs) &&
      set(bind.get(), SSH_BIND_OPTIONS_HMAC_S_C, algorithms::kMacs) &&
      set(bind.get(), SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS, algorithms::kHostKey) &&
      set(bind.get(), SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES, algorithms::kSignatures) &&
      set(bind.get(), SSH_BIND_OPTIONS_BANNER, "Merlon") &&
      ssh_pki_import_privkey_base64(host_key.c_str(), nullptr, nullptr, nullptr, &key) == SSH_OK &&
      ssh_bind_options_set(bind.get(), SSH_BIND_OPTIONS_IMPORT_KEY, key) == SSH_OK;
  if (!good) return internal_error("the SSH server's end could not be set up");
  return bind;
}

// `End` is a PersonEnd or a BrowserEnd.
template <class End>
void serve(ParentLink& link, End& person) {
  std::vector<pollfd> polls;
  bool worked = true;
  while (!person.is_over()) {
    bool moved = person.step();
    // What is in libssh's buffers wakes no poll.
    for (int again = 0; moved && again < 64 && !person.is_over(); ++again) moved = person.step();
    if (person.is_over()) return;
    polls.assign(1, {link.socket(), POLLIN, 0});
    person.add_polls(polls);
    worked |= moved;
    // Most sessions do nothing most of the time: then what they have freed is the machine's again.
    if (::poll(polls.data(), polls.size(), moved ? 0 : kTickMs) == 0 && !moved &&
        std::exchange(worked, false))
      ::malloc_trim(0);
    if (polls[0].revents != 0 && !link.receive())
      return person.heed(0, {{"reason", "ServerGone"},
                             {"message",
                              "the bastion's server has gone away, so nothing more can be recorded. The "
                              "session is ended; connect again in a moment."}});
    while (const auto notice = link.next_notice()) person.heed(notice->first, notice->second);
  }
}

void tell_failed(ParentLink& link, const Error& error) {
  link.tell(FrameKind::ask, 0,
            to_text(JsonObject{{"failed", JsonObject{{"code", error.code}, {"message", error.message}}}}));
}

// The secret is here from when the machine has been recognised until it has been shown to it.
Result<void> sign_in(ParentLink& link, MachineEnd& machine, const JsonObject& begun) {
  const JsonObject sizes = TRY(link.ask({{"ask", "secret"}}));
  const auto size = [&sizes](std::string_view of) {
    return static_cast<size_t>(std::max<int64_t>(0, int_at(sizes, of).value_or(0)));
  };
  link.tell(FrameKind::ask, 0, to_text(JsonObject{{"ask", "take"}}));
  MachineSecret secret;
  secret.password = TRY(link.read_secret(size("password")));
  secret.private_key = TRY(link.read_secret(size("privateKey")));
  secret.passphrase = TRY(link.read_secret(size("passphrase")));
  return machine.sign_in(secret, string_at(begun, "machine").value_or(""),
                         string_at(begun, "login").value_or(""));
}

// The end towards a machine that is signed in to by a secret (apart.h).
Result<void> run_apart(ParentLink& link, const JsonObject& begun, const Clock& clock) {
  auto machine = MachineEnd::recognise(link.take_descriptor(), begun, string_at(begun, "login").value_or(""));
  const Result<void> signed_in =
      machine ? sign_in(link, *machine, begun) : Result<void>(std::unexpected(machine.error()));
  if (!signed_in) {
    tell_failed(link, signed_in.error());
    return {};
  }
  const BindHandle bind = TRY(prepare_bind(TRY(require_string(begun, "hostKey"))));
  Site site{.link = link, .bind = bind.get(), .clock = clock};
  TRY(link.ask({{"ask", "signedIn"}}));
  const auto person = TRY(PersonEnd::lead_on(site, kClientDescriptor, *std::move(machine)));
  serve(link, *person);
  person->shut();
  return {};
}

Result<void> run() {
  ParentLink link(kServerDescriptor);
  ssh_set_log_level(SSH_LOG_NOLOG);
  if (ssh_init() != SSH_OK) return internal_error("libssh could not be initialised");
  for (const std::string& what : TRY(enter_sandbox()))
    log(LogLevel::debug, "an SSH session does without", {{"what", what}});
  const JsonObject begun = TRY(link.ask({{"ask", "begin"}}));
  const SystemClock clock;
  if (bool_at(begun, "signIn").value_or(false)) return run_apart(link, begun, clock);
  if (bool_at(begun, "page").value_or(false)) {
    BrowserEnd person(link, clock, kClientDescriptor);
    person.enter(begun);
    serve(link, person);
    person.shut();
    return {};
  }
  const BindHandle bind = TRY(prepare_bind(TRY(require_string(begun, "hostKey"))));
  Site site{.link = link, .bind = bind.get(), .clock = clock};
  site.grace = Duration(int_at(begun, "graceMs").value_or(site.grace.count()));
  // Inside a tunnel it is known who somebody is, and where they go.
  const bool inside = bool_at(begun, "inside").value_or(false);
  Target target;
  if (inside)
    target = {string_at(begun, "machine").value_or(""), string_at(begun, "bastion").value_or(""),
              static_cast<uint16_t>(int_at(begun, "port").value_or(target.port))};
  const auto person =
      TRY(PersonEnd::accept(site, kClientDescriptor,
                            inside ? PersonEnd::Place::inner : PersonEnd::Place::outer, std::move(target)));
  serve(link, *person);
  person->shut();
  return {};
}

}  // namespace

int run_session_process() {
  ::signal(SIGPIPE, SIG_IGN);
  const auto done = run();
  if (!done) log_error("an SSH session could not be served", done.error());
  return done ? 0 : 1;
}

}  // namespace merlon::ssh

// People at the desk, and where they may go.
#include "services/ssh_edge/desk.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "identity/bootstrap.h"
#include "services/ssh_edge/own_login.h"
#include "services/ssh_edge/session.h"
#include "services/ssh_edge/tunnel.h"

namespace merlon::ssh_edge {
namespace {

constexpr std::string_view kSignInAction = "Merlon.Bastion/ssh/signIn";
constexpr std::string_view kLogin = "Microsoft.Compute/virtualMachines/login/action";
constexpr std::string_view kLoginAsAdmin = "Microsoft.Compute/virtualMachines/loginAsAdmin/action";
constexpr std::string_view kPending = "authorization_pending";

class SignedIn final : public ssh::Person {
 public:
  explicit SignedIn(Visitor visitor, std::optional<bastion::Admission> admitted = std::nullopt)
      : visitor_(std::move(visitor)), admitted_(std::move(admitted)) {}
  std::string name() const override { return visitor_.principal.name; }
  const Visitor& visitor() const { return visitor_; }
  const std::optional<bastion::Admission>& admitted() const { return admitted_; }  // by a tunnel

 private:
  const Visitor visitor_;
  const std::optional<bastion::Admission> admitted_;
};

std::unique_ptr<SignedIn> by_ssh(identity::Principal principal, bastion::SignedInBy by) {
  return std::make_unique<SignedIn>(Visitor{.principal = std::move(principal),
                                            .transport = bastion::Transport::plain_ssh,
                                            .signed_in_by = by,
                                            .user_agent = "ssh",
                                            .justification = {},
                                            .by_link = {}});
}

// Of who goes by a right of their own.
bastion::WayIn own_way(const Visitor& visitor, const ssh::Destination& to) {
  bastion::WayIn way;
  way.caller = visitor.principal;
  way.transport = visitor.transport;
  way.signed_in_by = visitor.signed_in_by;
  way.justification = visitor.justification;
  way.target = to.machine;
  way.bastion = to.bastion;
  way.port = to.port;
  way.login = to.login;
  return way;
}

// Names that machines have for themselves (Debian's base-passwd and systemd, Red Hat's setup): whoever names
// people in the directory must not by that make them root.
bool is_systems(std::string_view login) {
  static constexpr std::array<std::string_view, 34> kNames = {
      "root",    "toor",     "daemon", "bin",    "sys",      "adm",    "sync",  "shutdown",   "halt",
      "games",   "man",      "lp",     "mail",   "news",     "uucp",   "proxy", "www-data",   "backup",
      "list",    "irc",      "gnats",  "nobody", "operator", "ftp",    "sshd",  "messagebus", "dbus",
      "polkitd", "postgres", "mysql",  "docker", "himds",    "merlon", "sudo"};
  const std::string name = ascii_lower(login);
  return name.starts_with('_') || name.starts_with("systemd-") ||
         std::ranges::find(kNames, name) != kNames.end();
}

// Neither of two who would share an account gets it: one's files and history would be the other's.
Result<void> check_alone(const resource::Core& core, const identity::Principal& caller,
                         const bastion::Admission& admission) {
  const auto other =
      TRY(store::read_value<std::optional<std::string>>(core.store, [&](store::Reader& reader) {
        return shares_login(reader, core.tenant, caller, [&](const identity::User& user) -> Result<bool> {
          identity::Principal who;
          who.object_id = user.id;
          const auto may = [&](std::string_view action) -> Result<bool> {
            return TRY(core.access.check(reader, who,
                                         {.action = std::string(action),
                                          .scope = admission.target_id,
                                          .kind = access::ActionKind::data}))
                .allowed;
          };
          return TRY(may(kLogin)) || TRY(may(kLoginAsAdmin));
        });
      }));
  if (!other) return {};
  return fail(
      ErrorKind::forbidden, "LoginNotAllowed",
      "The login '" + admission.login + "' would be that of '" + *other +
          "', too, who may log in to this machine as well. One account is not for two: one of you needs "
          "another name, or the role Virtual Machine Administrator Login on it.");
}

// Azure's two rights to log in (docs/bastion.md, Logins): a user's is for the name that is their own, an
// administrator's for any.
Result<void> check_login(const resource::Core& core, const identity::Principal& caller,
                         const bastion::Admission& admission) {
  if (admission.may_log_in_as_admin || admission.login_is_by_link) return {};
  const std::string own = own_login(caller);
  if (own.empty())
    return fail(
        ErrorKind::forbidden, "LoginNotAllowed",
        "An application has no login of its own, as its owners may call it anything. It logs in by the "
        "role Virtual Machine Administrator Login on this machine.");
  const bool is_own = ascii_iequal(own, admission.login);
  if (admission.may_log_in && is_own && !is_systems(own)) return check_alone(core, caller, admission);
  if (admission.may_log_in && is_own)
    return fail(ErrorKind::forbidden, "LoginNotAllowed",
                "'" + own +
                    "' is an account of the machine's own, and not yours because your name begins so. "
                    "Ask for the role Virtual Machine Administrator Login on it.");
  return fail(ErrorKind::forbidden, "LoginNotAllowed",
              admission.may_log_in
                  ? "You may log in to this machine as '" + own + "' only. For '" + admission.login +
                        "' ask for the role Virtual Machine Administrator Login on it."
                  : "You may not log in to this machine. Ask for the role Virtual Machine User Login (for '" +
                        own + "') or Virtual Machine Administrator Login on it.");
}

class DeskImpl final : public ssh::Desk {
 public:
  explicit DeskImpl(DeskParts parts)
      : parts_(std::move(parts)), host_key_(parts_.identities.host_private_key()) {}

  Result<std::unique_ptr<ssh::Person>> by_key(ByteView key, const ssh::Source& source) override {
    auto found = store::read_value<identity::Principal>(parts_.core.store, [&](store::Reader& reader) {
      return parts_.identities.person(reader, key, source.address);
    });
    // A key alone reads as one; in a certificate it is the second part.
    if (found)
      return by_ssh(*std::move(found), ssh::PublicKey::from_blob(key) ? bastion::SignedInBy::key
                                                                      : bastion::SignedInBy::certificate);
    note_refusal(source, found.error());
    return std::unexpected(found.error());
  }

  Result<ssh::DeviceCode> start_device(const ssh::Source& source) override {
    const net::Response response =
        TRY(post("devicecode", "scope=" + net::percent_encode(parts_.origin + "/.default"), source));
    const JsonObject answer = TRY(parse_json_object(response.body));
    ssh::DeviceCode code{.page = string_at(answer, "verification_uri").value_or(""),
                         .code = string_at(answer, "user_code").value_or(""),
                         .secret = Secret(std::string_view(string_at(answer, "device_code").value_or("")))};
    if (response.status == 200 && !code.secret.empty()) return code;
    return fail(ErrorKind::unavailable, "NoDeviceCode",
                "No code can be had to sign in with. Try again later.");
  }

  Result<std::unique_ptr<ssh::Person>> poll_device(const ssh::DeviceCode& code,
                                                   const ssh::Source& source) override {
    const net::Response response =
        TRY(post("token",
                 "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=" +
                     net::percent_encode(code.secret.expose_text()),
                 source));
    const JsonObject answer = TRY(parse_json_object(response.body));
    if (response.status != 200) {
      if (string_at(answer, "error") == kPending) return std::unique_ptr<ssh::Person>();
      return fail(ErrorKind::unauthenticated, "DeviceCodeRefused",
                  "The code was refused or has expired. Connect again for a new one.");
    }
    const std::string bearer = "Bearer " + string_at(answer, "access_token").value_or("");
    auto principal =
        TRY(store::read_value<identity::Principal>(parts_.core.store, [&](store::Reader& reader) {
          return parts_.core.issuer.authenticate(reader, bearer, source.address);
        }));
    return by_ssh(std::move(principal), bastion::SignedInBy::device_code);
  }

  Result<std::unique_ptr<ssh::Passage>> admit(const ssh::Person& person, const ssh::Destination& to,
                                              const ssh::Source& source) override {
    const auto& signed_in = static_cast<const SignedIn&>(person);
    if (signed_in.admitted()) return take_over(signed_in, to.login);
    const Visitor& visitor = signed_in.visitor();
    bastion::WayIn way = visitor.by_link ? *visitor.by_link : own_way(visitor, to);
    way.caller.address = source.address;
    way.client_port = source.port;
    way.user_agent = visitor.user_agent;
    way.ends_protocol = true;
    way.can_hold = true;
    way.protocol = bastion::Protocol::ssh;
    const bastion::Admission admission = TRY(parts_.bastion.admit(way));
    return or_end(admission, begin(way.caller, admission));
  }

  Secret host_key() override { return host_key_; }

 private:
  // The tunnel's session becomes this one, now that its login is known.
  Result<std::unique_ptr<ssh::Passage>> take_over(const SignedIn& person, const std::string& login) {
    bastion::Admission admission = *person.admitted();
    admission.login = login;
    const auto named = parts_.bastion.name_login(admission.session, login);
    if (!named) return or_end(admission, std::unexpected(named.error()));
    return or_end(admission, begin(person.visitor().principal, admission));
  }

  Result<std::unique_ptr<ssh::Passage>> or_end(const bastion::Admission& admission,
                                               Result<std::unique_ptr<ssh::Passage>> passage) {
    if (passage) return passage;
    TRY(parts_.bastion.ended(admission.session,
                             {.reason = passage.error().code, .message = passage.error().message}));
    return passage;
  }

  Result<std::unique_ptr<ssh::Passage>> begin(const identity::Principal& caller,
                                              const bastion::Admission& admission) {
    TRY(check_login(parts_.core, caller, admission));
    std::unique_ptr<Tape> tape;
    if (admission.recording != bastion::Recording::off) {
      auto started = parts_.record
                         ? parts_.record(caller, admission)
                         : Result<std::unique_ptr<Tape>>(fail(ErrorKind::unavailable, "RecordingNotAvailable",
                                                              "This server keeps no recordings."));
      if (started)
        tape = *std::move(started);
      else if (admission.recording == bastion::Recording::require)
        return fail(
            ErrorKind::unavailable, "RecordingNotPossible",
            "This session must be recorded, and a recording cannot be begun: " + started.error().message);
    }
    return make_session({.core = parts_.core,
                         .bastion = parts_.bastion,
                         .identities = parts_.identities,
                         .credentials = parts_.credentials,
                         .machines = parts_.machines,
                         .reach_limit = reach_limit_},
                        caller, admission, std::move(tape));
  }

  Result<net::Response> post(const std::string& name, const std::string& form, const ssh::Source& source) {
    net::Request request;
    request.method = "POST";
    request.path = "/" + parts_.core.tenant.text() + "/oauth2/v2.0/" + name;
    request.target = request.path;
    request.segments = {parts_.core.tenant.text(), "oauth2", "v2.0", name};
    request.headers.set("Content-Type", "application/x-www-form-urlencoded");
    request.body = "client_id=" + std::string(identity::kAzureCliAppId) + "&" + form;
    request.peer = source.address;
    request.host = parts_.origin.substr(std::string_view("https://").size());
    request.request_id = Uuid::generate(parts_.core.random).text();
    auto response = parts_.sign_in(request, parts_.origin);
    if (!response) return internal_error("nobody answers for " + name);
    return *std::move(response);
  }

  void note_refusal(const ssh::Source& source, const Error& error) {
    ledger::Entry entry;
    entry.time = parts_.core.clock.now();
    entry.actor = {.kind = "Anonymous", .object_id = {}, .name = {}, .address = source.address.text()};
    entry.action = kSignInAction;
    entry.resource = "/";
    entry.decision = ledger::Decision::denied;
    entry.reason = error.code;
    parts_.core.ledger.note_denial(entry);
  }

  ReachLimit reach_limit_;
  const DeskParts parts_;
  const Secret host_key_;
};

}  // namespace

std::shared_ptr<ssh::Person> make_person(Visitor visitor) {
  return std::make_shared<SignedIn>(std::move(visitor));
}

Result<int> end_ssh_in_tunnel(const resource::Core& core, bastion::Bastion& bastion, ssh::Edge& edge,
                              const bastion::Admission& admission) {
  const auto session = TRY(store::read_value<std::optional<JsonObject>>(
      core.store, [&](store::Reader& reader) { return bastion.session(reader, admission.session); }));
  const JsonObject* of = session ? object_at(*session, "properties") : nullptr;
  if (of == nullptr) return internal_error("a tunnel's session is not there");
  Visitor visitor{.principal = {},
                  .transport = bastion::Transport::tunnel,
                  .signed_in_by = admission.signed_in_by,
                  .user_agent = {},
                  .justification = {},
                  .by_link = {}};
  const auto id = Uuid::parse(TRY(require_string(*of, "userId")));
  const auto from = IpAddress::parse(TRY(require_string(*of, "clientAddress")));
  if (!id || !from) return internal_error("a tunnel's session does not say whose it is");
  visitor.principal.object_id = *id;
  visitor.principal.name = TRY(require_string(*of, "userName"));
  visitor.principal.kind = string_at(*of, "userType") == "ServicePrincipal"
                               ? identity::PrincipalKind::service_principal
                               : identity::PrincipalKind::user;
  visitor.principal.address = *from;
  const ssh::Source source{*from, static_cast<uint16_t>(int_at(*of, "clientPort").value_or(0))};
  const std::string& target = admission.target_id;
  const ssh::Destination to{.machine = target.substr(target.rfind('/') + 1),
                            .login = {},
                            .bastion = {},
                            .port = admission.port,
                            .client = {}};
  return edge.serve_ssh(std::make_shared<SignedIn>(std::move(visitor), admission), to, source);
}

std::unique_ptr<ssh::Desk> make_desk(DeskParts parts) { return std::make_unique<DeskImpl>(std::move(parts)); }

}  // namespace merlon::ssh_edge

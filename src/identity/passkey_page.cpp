// Adding a passkey.
#include "identity/passkey_page.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "identity/passkey_scripts.h"

namespace merlon::identity {
namespace {

constexpr std::string_view kPurpose = "make-passkey";
constexpr std::string_view kEnrolAction = "Merlon.Identity/authenticationMethods/enrol/action";
constexpr Duration kQuestionLifetime = std::chrono::minutes(5);
constexpr Duration kFresh = std::chrono::minutes(15);
constexpr size_t kChallengeBytes = 32;
constexpr size_t kNameMax = 64;

}  // namespace

net::Response PasskeyPage::failed(const net::Request& request, const Error& error) {
  log_error("the page for passkeys failed", error, {{"requestId", request.request_id}});
  return page_reply(
      {.status = error.kind == ErrorKind::unavailable ? 503 : 500,
       .title = "This did not work",
       .content = page_alert("The server could not do this now. Please try again in a minute.") +
                  page_facts({{"Request", request.request_id}})});
}

Result<bool> PasskeyPage::is_fresh(const Visitor& visitor) const {
  if (!visitor.session || !visitor.user || clock_.now() - visitor.session->auth_time > kFresh) return false;
  const auto& amr = visitor.session->amr;
  if (std::ranges::find(amr, kMfa) != amr.end()) return true;
  return !TRY(store::read_value<bool>(
      store_, [&](store::Reader& reader) { return factors_.required(reader, visitor.user->id); }));
}

net::Response PasskeyPage::ask(const Visitor& visitor, const Errand& errand, const std::string& alert,
                               int status) {
  const auto known = store::read_value<std::vector<Passkey>>(
      store_, [&](store::Reader& reader) { return factors_.passkeys().of(reader, visitor.user->id); });
  if (!known) return failed(errand.request, known.error());
  std::vector<std::string> ids;
  for (const Passkey& passkey : *known) ids.push_back(passkey.credential);
  const std::string challenge = to_base64url(random_.bytes(kChallengeBytes));
  const std::string ticket = people_.forms().make(
      kPurpose, visitor.browser, visitor.user->id.text() + "/" + challenge, clock_.now() + kQuestionLifetime);
  const HiddenFields hidden = people_.hidden(visitor, errand.target,
                                             {{"do", "add-passkey"},
                                              {"ticket", ticket},
                                              {"challenge", challenge},
                                              {"rp", people_.domain()},
                                              {"user", to_base64url(user_handle_of(visitor.user->id))},
                                              {"account", visitor.user->user_principal_name},
                                              {"known", join(ids, ",")},
                                              {"client", {}},
                                              {"attestation", {}}});
  const std::string content =
      page_alert(alert) +
      page_paragraph("You are signed in as " + visitor.user->user_principal_name + ", with " +
                     std::to_string(ids.size()) + (ids.size() == 1 ? " passkey." : " passkeys.")) +
      page_paragraph(
          "A passkey signs you in without a password: your device asks for your finger, your face "
          "or its PIN.") +
      page_form(errand.target, hidden,
                page_field({.label = "Name",
                            .name = "name",
                            .autocomplete = "off",
                            .value = "Passkey",
                            .note = "What you call the device, or the key"}) +
                    page_script_button("Add a passkey"));
  return WebSignIn::with_cookies(
      page_reply(
          {.status = status, .title = "Add a passkey", .content = content, .script = kMakePasskeyScript}),
      visitor);
}

Result<PasskeyPage::Added> PasskeyPage::write(const Visitor& visitor, const Errand& errand,
                                              const std::string& name, const AuthenticatorData& made) {
  return store::write_value<Added>(store_, [&](store::Transaction& tx) -> Result<Added> {
    const Uuid& user = visitor.user->id;
    if (!TRY(store::get<Session>(tx, directory_.tenant(), visitor.session->id.text())))
      return fail(ErrorKind::conflict, "SessionEnded", "Your session has ended. Please sign in again.");
    const bool first = !TRY(factors_.required(tx, user));
    Added added{.passkey = TRY(factors_.passkeys().add(tx, user, name, made)), .recovery_codes = {}};
    if (first) added.recovery_codes = TRY(factors_.make_recovery_codes(tx, user));
    ledger::Entry entry = people_.entry(errand.request, *visitor.user, kEnrolAction);
    entry.details = {{"methodId", added.passkey.id.text()},
                     {"method", "passkey"},
                     {"sessionId", visitor.session->id.text()}};
    TRY(ledger_.append(tx, entry));
    return added;
  });
}

net::Response PasskeyPage::add(const Visitor& visitor, const Errand& errand, const net::Query& form) {
  const auto payload =
      people_.forms().open(kPurpose, visitor.browser, form_value(form, "ticket"), clock_.now());
  const std::string owner = visitor.user->id.text() + "/";
  const auto challenge =
      payload && payload->starts_with(owner) ? from_base64url(payload->substr(owner.size())) : std::nullopt;
  const auto client = from_base64url(form_value(form, "client"));
  const auto attestation = from_base64url(form_value(form, "attestation"));
  if (!challenge || !client || !attestation)
    return ask(visitor, errand, "That took too long, or was not understood. Please try again.", 400);
  const WebauthnQuestion question{
      .challenge = *challenge, .origin = errand.origin, .rp_id = people_.domain()};
  const auto made = verify_registration(question, *client, *attestation);
  if (!made) {
    log(LogLevel::warning, "a passkey was not accepted",
        {{"cause", made.error().cause}, {"requestId", errand.request.request_id}});
    people_.note_refusal(errand.request, 500121, people_.path_of(*visitor.user), kEnrolAction);
    return ask(visitor, errand, "The passkey was not accepted. Please try again.", 400);
  }
  const std::string name(trim(form_value(form, "name").substr(0, kNameMax)));
  const auto added = write(visitor, errand, name.empty() ? "Passkey" : name, *made);
  if (!added && added.error().kind == ErrorKind::conflict)
    return ask(visitor, errand, added.error().message, 409);
  if (!added) return failed(errand.request, added.error());
  std::string content = page_paragraph("From now on '" + added->passkey.name +
                                       "' signs you in. Your password alone does not any more.");
  if (!added->recovery_codes.empty()) {
    content += page_paragraph(
        "These recovery codes are shown this once. Each stands in for the passkey once, with your password: "
        "print them.");
    for (const std::string& code : added->recovery_codes) content += page_paragraph(code);
  }
  return WebSignIn::with_cookies(page_reply({.title = "The passkey is added", .content = content}), visitor);
}

net::Response PasskeyPage::handle(const net::Request& request, const std::string& origin) {
  auto visitor = people_.visitor(request);
  if (!visitor) return failed(request, visitor.error());
  const Errand errand{.request = request,
                      .origin = origin,
                      .target = target_of(request.path, request.query),
                      .application = {},
                      .login_hint = {},
                      .form_sources = {}};
  if (!people_.knows_passkeys(errand))
    return page_reply({.status = 400,
                       .title = "Not at this address",
                       .content = page_alert("Passkeys belong to the name " + people_.domain() +
                                             ". Open this page under that name.")});
  const auto form = request.method == "POST" ? posted_form(request) : std::nullopt;
  if (request.method == "POST" &&
      (!form || repeated_parameter(request.query) || !people_.is_genuine(*visitor, errand, *form)))
    return people_.not_genuine(*visitor, errand);
  const std::string what = form ? form_value(*form, "do") : std::string();
  if (WebSignIn::is_step(what)) {
    if (auto page = people_.take(*visitor, errand, *form)) return *std::move(page);
    return ask(*visitor, errand, {}, 200);
  }
  const auto fresh = is_fresh(*visitor);
  if (!fresh) return failed(request, fresh.error());
  if (!*fresh)
    return people_.page({.browser = visitor->browser, .cookies = visitor->cookies}, errand,
                        visitor->user ? "Please sign in again before you change how you sign in." : "");
  return what == "add-passkey" ? add(*visitor, errand, *form) : ask(*visitor, errand, {}, 200);
}

}  // namespace merlon::identity

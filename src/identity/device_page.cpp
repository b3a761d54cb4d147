// Entering a device's code.
#include "identity/device_page.h"

#include "base/log.h"
#include "base/time_text.h"

namespace merlon::identity {
namespace {

constexpr std::string_view kApproveAction = "Merlon.Identity/deviceCodes/approve/action";
constexpr std::string_view kDeclineAction = "Merlon.Identity/deviceCodes/decline/action";
constexpr std::string_view kDecisionPurpose = "device";
constexpr Duration kDecisionLifetime = std::chrono::minutes(15);
constexpr std::string_view kStale =
    "The application asks for a fresh sign-in with a second factor. Sign in again, then confirm the code. If "
    "you have no second factor yet, enrol one first: 'merlon mfa enrol'.";
constexpr std::string_view kUnknown =
    "This code is not valid any more, or was not typed as it is shown. Look at the device again.";

}  // namespace

net::Response DevicePage::failed(const net::Request& request, const Error& error) {
  log_error("the page for device codes failed", error, {{"requestId", request.request_id}});
  return page_reply(
      {.status = error.kind == ErrorKind::unavailable ? 503 : 500,
       .title = "This did not work",
       .content = page_alert("The server could not do this now. Please try again in a minute.") +
                  page_facts({{"Request", request.request_id}})});
}

net::Response DevicePage::ask_code(const Visitor& visitor, const Errand& errand, const std::string& alert) {
  const std::string* given = errand.request.query.find("user_code");
  const auto code = given == nullptr ? std::nullopt : parse_user_code(*given);
  const std::string content =
      page_alert(alert) + page_paragraph("You are signed in as " + visitor.user->user_principal_name + ".") +
      page_form(errand.target, people_.hidden(visitor, errand.target),
                page_field({.label = "Code",
                            .name = "user_code",
                            .autocomplete = "off",
                            .value = code ? shown_user_code(*code) : std::string(),
                            .note = "Eight letters, as the device shows them: BCDF-GHJK",
                            .focus = true}) +
                    page_button("Next", "find-code"));
  return WebSignIn::with_cookies(page_reply({.status = alert.empty() ? 200 : 400,
                                             .title = "Enter the code of your device",
                                             .content = content}),
                                 visitor);
}

Result<std::optional<DeviceCode>> DevicePage::pending(store::Reader& reader, const std::string& typed) const {
  const auto code = parse_user_code(typed);
  if (!code) return std::nullopt;
  auto found = TRY(store::find<DeviceCode>(reader, directory_.tenant(), "user_code", *code));
  if (found.empty() || found.front().state != DeviceState::pending ||
      clock_.now() >= found.front().redeemable_until)
    return std::nullopt;
  return std::move(found.front());
}

// Which application asks, from where and since when: somebody who was talked into typing a stranger's code
// can see it here (RFC 8628 section 5.4).
net::Response DevicePage::ask_consent(const Visitor& visitor, const Errand& errand, const DeviceCode& code) {
  const auto application = store::read_value<std::optional<Application>>(
      store_, [&](store::Reader& reader) { return directory_.application_by_app_id(reader, code.client); });
  if (!application) return failed(errand.request, application.error());
  const std::string name = *application ? (*application)->display_name : code.client.text();
  const bool same = code.address == errand.request.peer.text();
  const std::string ticket = people_.forms().make(kDecisionPurpose, visitor.browser, code.user_code,
                                                  clock_.now() + kDecisionLifetime);
  const std::string content =
      page_facts({{"Application", name},
                  {"Asked from", code.address + (same ? " (your address)" : " (not your address)")},
                  {"Asked at", to_rfc3339(std::chrono::floor<std::chrono::seconds>(code.created))},
                  {"It says it is", code.user_agent},
                  {"You are", visitor.user->user_principal_name}}) +
      page_paragraph(
          "It will be signed in as you. Go on only if you have started this yourself, just now. If "
          "somebody sent you the code, they want to act in your name: choose Cancel.") +
      page_form(errand.target, people_.hidden(visitor, errand.target, {{"ticket", ticket}}),
                page_button("Sign in to " + name, "approve") + page_button("Cancel", "decline", false));
  return WebSignIn::with_cookies(page_reply({.title = "Did you start this sign-in?", .content = content}),
                                 visitor);
}

net::Response DevicePage::find_code(const Visitor& visitor, const Errand& errand, const net::Query& form) {
  const auto wait = guard_.begin_user_code(visitor.user->id, errand.request.peer);
  if (!wait) return failed(errand.request, wait.error());
  if (*wait > Duration::zero()) {
    people_.note_refusal(errand.request, 50053, people_.path_of(*visitor.user), kApproveAction);
    net::Response response =
        ask_code(visitor, errand,
                 "Too many wrong codes. Wait " +
                     std::to_string(std::chrono::ceil<std::chrono::seconds>(*wait).count()) +
                     " seconds and try again.");
    response.status = 429;
    return response;
  }
  const auto code = store::read_value<std::optional<DeviceCode>>(
      store_, [&](store::Reader& reader) { return pending(reader, form_value(form, "user_code")); });
  if (!code) return failed(errand.request, code.error());
  if (!*code) {
    people_.note_refusal(errand.request, 70018, people_.path_of(*visitor.user), kApproveAction);
    return ask_code(visitor, errand, std::string(kUnknown));
  }
  const auto found = guard_.user_code_found(visitor.user->id, errand.request.peer);
  if (!found) return failed(errand.request, found.error());
  if (!(*code)->claims.satisfied_by(visitor.session->amr, visitor.session->auth_time)) {
    Errand with_code = errand;
    with_code.target = errand.request.path + "?user_code=" + shown_user_code((*code)->user_code);
    return people_.page({.browser = visitor.browser}, with_code, std::string(kStale));
  }
  return ask_consent(visitor, errand, **code);
}

Result<bool> DevicePage::write_decision(const Visitor& visitor, const Errand& errand,
                                        const std::string& user_code, bool allow) {
  return store::write_value<bool>(store_, [&](store::Transaction& tx) -> Result<bool> {
    const TenantId& tenant = directory_.tenant();
    auto code = TRY(pending(tx, user_code));
    const auto session = TRY(store::get<Session>(tx, tenant, visitor.session->id.text()));
    if (!code || !session) return false;
    if (allow && !code->claims.satisfied_by(session->amr, session->auth_time)) return false;
    code->state = allow ? DeviceState::approved : DeviceState::declined;
    code->user = visitor.user->id;
    code->session = session->id;
    code->stamp = session->stamp;
    code->amr = session->amr;
    code->auth_time = session->auth_time;
    TRY(store::put(tx, tenant, *code));
    ledger::Entry entry =
        people_.entry(errand.request, *visitor.user, allow ? kApproveAction : kDeclineAction);
    entry.details = {
        {"clientId", code->client.text()}, {"askedFrom", code->address}, {"sessionId", session->id.text()}};
    TRY(ledger_.append(tx, entry));
    return true;
  });
}

net::Response DevicePage::decide(const Visitor& visitor, const Errand& errand, const net::Query& form,
                                 bool allow) {
  const auto user_code =
      people_.forms().open(kDecisionPurpose, visitor.browser, form_value(form, "ticket"), clock_.now());
  if (!user_code) return ask_code(visitor, errand, std::string(kUnknown));
  const auto written = write_decision(visitor, errand, *user_code, allow);
  if (!written) return failed(errand.request, written.error());
  if (!*written) return ask_code(visitor, errand, std::string(kUnknown));
  const std::string text = allow ? "You can close this window and go back to your device."
                                 : "Nothing was signed in. If somebody sent you the code, tell your "
                                   "administrator.";
  return WebSignIn::with_cookies(
      page_reply({.title = allow ? "Signed in" : "Cancelled", .content = page_paragraph(text)}), visitor);
}

net::Response DevicePage::handle(const net::Request& request, const std::string& origin) {
  auto visitor = people_.visitor(request);
  if (!visitor) return failed(request, visitor.error());
  const Errand errand{.request = request,
                      .origin = origin,
                      .target = target_of(request.path, request.query),
                      .application = {},
                      .login_hint = {},
                      .form_sources = {}};
  if (request.method != "POST")
    return visitor->user ? ask_code(*visitor, errand, {}) : people_.page(*visitor, errand);
  const auto form = posted_form(request);
  if (!form || repeated_parameter(request.query) || !people_.is_genuine(*visitor, errand, *form))
    return people_.not_genuine(*visitor, errand);
  const std::string what = form_value(*form, "do");
  const bool signing_in = WebSignIn::is_step(what);
  if (!visitor->user || signing_in) {
    if (auto page = people_.take(*visitor, errand, *form)) return *std::move(page);
    return ask_code(*visitor, errand, {});
  }
  if (what == "find-code") return find_code(*visitor, errand, *form);
  if (what == "approve" || what == "decline") return decide(*visitor, errand, *form, what == "approve");
  return ask_code(*visitor, errand, {});
}

}  // namespace merlon::identity

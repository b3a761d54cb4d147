// Which paths are identity's, and who answers them.
#include "identity/endpoints.h"

#include "base/text.h"
#include "identity/authorize_endpoint.h"
#include "identity/device_page.h"
#include "identity/discovery.h"
#include "identity/graph.h"
#include "identity/passkey_page.h"
#include "identity/reply.h"
#include "identity/sign_in_error.h"
#include "identity/tenant_path.h"
#include "identity/token_endpoint.h"

namespace merlon::identity {

struct Endpoints::State {
  State(store::Store& store, ledger::Ledger& ledger, Directory& directory, Issuer& issuer_in,
        const Clock& clock_in, Random& random, IssuerAccess foreign_issuers)
      : issuer(issuer_in),
        clock(clock_in),
        guard(store, directory.tenant(), clock_in),
        federation(store, directory.tenant(), clock_in, std::move(foreign_issuers)),
        passwords(store, ledger, directory, clock_in, gate, guard),
        factors(issuer_in.seal(), directory.tenant(), clock_in, random),
        second_factors(store, ledger, factors, guard, clock_in),
        tokens(TokenParts{.store = store,
                          .ledger = ledger,
                          .directory = directory,
                          .issuer = issuer_in,
                          .clock = clock_in,
                          .random = random,
                          .passwords = passwords,
                          .second_factors = second_factors,
                          .guard = guard,
                          .federation = federation}),
        people(store, ledger, directory, issuer_in, clock_in, random, passwords, second_factors),
        browsers(store, ledger, directory, issuer_in, clock_in, random, people),
        passkeys(store, ledger, directory, clock_in, random, factors, people),
        devices(store, ledger, directory, clock_in, guard, people),
        graph(store, ledger, directory, issuer_in, clock_in, random, gate) {}

  Issuer& issuer;
  const Clock& clock;
  PasswordGate gate;
  SignInGuard guard;
  Federation federation;
  PasswordSignIn passwords;
  SecondFactors factors;
  SecondFactorSignIn second_factors;
  TokenEndpoint tokens;
  WebSignIn people;
  AuthorizeEndpoint browsers;
  PasskeyPage passkeys;
  DevicePage devices;
  Graph graph;

  std::optional<net::Response> oauth(const net::Request& request, const std::string& origin,
                                     const TenantPath& path, Dialect dialect, std::string_view name) {
    if (name == "token") return tokens.token(request, origin, path, dialect);
    if (name == "authorize") return browsers.authorize(request, origin, path, dialect);
    if (name == "devicecode") return tokens.device_code(request, origin, path, dialect);
    if (name == "revoke") return tokens.revoke(request, origin, path, dialect);
    if (name == "logout" || name == "logoff") return browsers.logout(request, origin);
    // Where AD FS has its page for devices.
    if (name == "deviceauth" && path.is_adfs()) return devices.handle(request, origin);
    return std::nullopt;
  }
};

Endpoints::Endpoints(store::Store& store, ledger::Ledger& ledger, Directory& directory, Issuer& issuer,
                     const Clock& clock, Random& random, IssuerAccess foreign_issuers)
    : state_(std::make_unique<State>(store, ledger, directory, issuer, clock, random,
                                     std::move(foreign_issuers))) {}

Endpoints::~Endpoints() = default;

void Endpoints::ask_fresh_where(std::function<Result<bool>(store::Reader&)> guarded) {
  state_->graph.ask_fresh_where(std::move(guarded));
}

std::optional<net::Response> Endpoints::handle(const net::Request& request, const std::string& origin) {
  if (request.segments.empty()) return std::nullopt;
  if (ascii_iequal(request.segments.front(), "v1.0"))
    return state_->graph.handle(request, origin, {request.segments.begin() + 1, request.segments.end()});
  if (request.path == "/devicelogin") return state_->devices.handle(request, origin);
  if (request.path == "/passkeys") return state_->passkeys.handle(request, origin);
  if (request.path == "/oidc/userinfo") return state_->graph.handle(request, origin, request.segments);

  const TenantPath path =
      parse_tenant_path(request.segments, state_->issuer.tenant(), state_->issuer.domain());
  if (auto discovery = handle_discovery(state_->issuer, request, origin, path, state_->clock.now()))
    return discovery;
  const std::string rest = path.rest_text();
  if (path.is_adfs() && rest == "portal/updatepassword") return state_->tokens.change_password(request);
  const bool first = rest.starts_with("oauth2/");
  const bool second = rest.starts_with("oauth2/v2.0/");
  if (!first) return std::nullopt;
  const std::string_view name = std::string_view(rest).substr(second ? 12 : 7);
  const Dialect dialect = path.is_adfs() ? Dialect::adfs : second ? Dialect::v2 : Dialect::v1;
  return state_->oauth(request, origin, path, dialect, name);
}

}  // namespace merlon::identity

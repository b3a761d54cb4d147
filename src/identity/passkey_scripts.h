// The scripts of the two pages at which a browser is asked for a passkey: all the script there is, since
// nothing but script can ask (Web Authentication Level 2, section 5.1). They take what they need from the
// page's first form, put the answer into its hidden fields, and send it. Known to the page's policy by their
// hash.
#pragma once

#include <string_view>

namespace merlon::identity {

// Fields: challenge, rp; fills in credential, client, authenticator, signature, handle.
inline constexpr std::string_view kUsePasskeyScript = R"js(
const f = document.forms[0];
const of = s => Uint8Array.from(atob(s.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));
const to = b => btoa(String.fromCharCode(...new Uint8Array(b)))
  .replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
document.getElementById('go').onclick = async () => {
  try {
    const made = await navigator.credentials.get({publicKey: {challenge: of(f.elements.challenge.value),
      rpId: f.elements.rp.value, userVerification: 'required', timeout: 240000}});
    f.elements.credential.value = to(made.rawId);
    f.elements.client.value = to(made.response.clientDataJSON);
    f.elements.authenticator.value = to(made.response.authenticatorData);
    f.elements.signature.value = to(made.response.signature);
    f.elements.handle.value = made.response.userHandle ? to(made.response.userHandle) : '';
    f.submit();
  } catch (e) {
    document.getElementById('said').textContent = 'No passkey was used. Try again, or use your password.';
  }
};
)js";

// Fields: challenge, rp, user, account, known (ids with commas); fills in client, attestation.
inline constexpr std::string_view kMakePasskeyScript = R"js(
const f = document.forms[0];
const of = s => Uint8Array.from(atob(s.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));
const to = b => btoa(String.fromCharCode(...new Uint8Array(b)))
  .replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
document.getElementById('go').onclick = async () => {
  try {
    const made = await navigator.credentials.create({publicKey: {challenge: of(f.elements.challenge.value),
      rp: {id: f.elements.rp.value, name: 'Merlon'},
      user: {id: of(f.elements.user.value), name: f.elements.account.value, displayName: f.elements.account.value},
      pubKeyCredParams: [-7, -8, -257].map(alg => ({type: 'public-key', alg})),
      excludeCredentials: f.elements.known.value.split(',').filter(s => s)
        .map(s => ({type: 'public-key', id: of(s)})),
      authenticatorSelection: {residentKey: 'required', requireResidentKey: true, userVerification: 'required'},
      attestation: 'none', timeout: 240000}});
    f.elements.client.value = to(made.response.clientDataJSON);
    f.elements.attestation.value = to(made.response.attestationObject);
    f.submit();
  } catch (e) {
    document.getElementById('said').textContent =
      e.name === 'InvalidStateError' ? 'This device has a passkey for you already.' : 'No passkey was made. Try again.';
  }
};
)js";

}  // namespace merlon::identity

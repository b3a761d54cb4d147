// A vault for a test file, made as a user would: through @azure/arm-keyvault.
import { KeyVaultManagementClient } from '@azure/arm-keyvault';
import { ResourceManagementClient } from '@azure/arm-resources';

export async function vaultClient(server) {
  const groups = new ResourceManagementClient(server.credential(), server.subscription, server.options()).resourceGroups;
  await groups.createOrUpdate('rg', { location: 'local' });
  return new KeyVaultManagementClient(server.credential(), server.subscription, server.options());
}

export function vaultProperties(server, more = {}) {
  return { tenantId: server.tenant, sku: { family: 'A', name: 'standard' }, enableRbacAuthorization: true, ...more };
}

// The role "Key Vault …" at the vault, for an application of merlon('app', 'create', …) or the first one.
export function giveRole(server, principal, role, scope) {
  server.merlon('role', 'assign', '--assignee', principal, '--role', role, '--scope', scope);
}

export function keyVaultError(statusCode, code, inner) {
  return (error) => {
    const found = error.details?.error?.innerError?.code;
    if (error.name !== 'RestError' || error.statusCode !== statusCode || error.code !== code || (inner && found !== inner)) {
      throw new Error(`wanted RestError ${statusCode} ${code} ${inner ?? ''}, got ${error.name} ${error.statusCode} ${error.code} ${found}: ${error.message}`);
    }
    return true;
  };
}

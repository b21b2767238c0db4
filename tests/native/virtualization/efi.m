// SPDX-License-Identifier: Apache-2.0
// EFI boot loaders and variable stores as a program for Apple's framework makes them.
#import "virtualization_support.h"

static NSURL *urlInFolder(NSString *name) {
    return [NSURL fileURLWithPath:inFolder(name)];
}

static VZVirtualMachineConfiguration *configurationWithStore(VZEFIVariableStore *store) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    VZEFIBootLoader *loader = [[VZEFIBootLoader alloc] init];
    loader.variableStore = store;
    configuration.bootLoader = loader;
    return configuration;
}

static void aBootLoaderNeedsAStore(void) {
    VZEFIBootLoader *loader = [[VZEFIBootLoader alloc] init];
    CHECK(loader.variableStore == nil);
    CHECK_REFUSED(configurationWithStore(nil), @"bootLoader.variableStore is nil.", @"VZEFIVariableStore");
    CHECK_EQUAL(raised(^{
                    (void)[[VZEFIVariableStore alloc] initWithURL:(id _Nonnull)nil];
                }),
                @"NSInvalidArgumentException: *** -[VZEFIVariableStore initWithURL:]: URL is nil");
    CHECK(raised(^{
              (void)[[VZEFIVariableStore alloc] initCreatingVariableStoreAtURL:(id _Nonnull)nil options:0 error:NULL];
          }) != nil);
}

static void aStoreIsMadeOnceAndOpenedAfterwards(void) {
    NSError *error = nil;
    VZEFIVariableStore *store = [[VZEFIVariableStore alloc] initCreatingVariableStoreAtURL:urlInFolder(@"store")
                                                                                   options:0
                                                                                     error:&error];
    CHECK(store && !error);
    CHECK_EQUAL(store.URL.path, inFolder(@"store"));
    CHECK_VALID(configurationWithStore(store));
    CHECK_VALID(configurationWithStore([[VZEFIVariableStore alloc] initWithURL:urlInFolder(@"store")]));
    VZVirtualMachineConfiguration *copy = [configurationWithStore(store) copy];
    CHECK([(VZEFIBootLoader *)copy.bootLoader variableStore] == store);

    VZEFIVariableStore *again = [[VZEFIVariableStore alloc] initCreatingVariableStoreAtURL:urlInFolder(@"store")
                                                                                   options:0
                                                                                     error:&error];
    CHECK(!again);
    CHECK_EQUAL(error.domain, NSPOSIXErrorDomain);
    CHECK(error.code == EEXIST);
    CHECK_EQUAL(error.localizedFailureReason,
                words(@"URL is \"%@\", which is there already: File exists.", inFolder(@"store")));
    again =
        [[VZEFIVariableStore alloc] initCreatingVariableStoreAtURL:urlInFolder(@"store")
                                                           options:VZEFIVariableStoreInitializationOptionAllowOverwrite
                                                             error:NULL];
    CHECK(again != nil);
    unlink(inFolder(@"store").UTF8String);
}

static void aStoreThatIsNotThereIsRefusedAtValidation(void) {
    VZEFIVariableStore *store = [[VZEFIVariableStore alloc] initWithURL:urlInFolder(@"missing")];
    NSError *error =
        CHECK_REFUSED(configurationWithStore(store),
                      words(@"bootLoader.variableStore.URL is \"%@\", which cannot be found: No such file or "
                            @"directory.",
                            inFolder(@"missing")),
                      @"make one");
    CHECK([error.userInfo[NSUnderlyingErrorKey] code] == ENOENT);
    store = [[VZEFIVariableStore alloc] initWithURL:[NSURL URLWithString:@"https://example.com/store"]];
    CHECK_REFUSED(
        configurationWithStore(store),
        @"bootLoader.variableStore.URL is \"https://example.com/store\", which is not the URL of a file on this "
        @"host.",
        @"make one");
    store =
        [[VZEFIVariableStore alloc] initCreatingVariableStoreAtURL:[NSURL URLWithString:@"https://example.com/store"]
                                                           options:0
                                                             error:&error];
    CHECK(!store);
    CHECK_ERROR(error, VZErrorInvalidVirtualMachineConfiguration,
                @"URL is \"https://example.com/store\", which is not the URL of a file on this host.",
                @"URL of a file");
}

static void aMachineWithTooLittleMemoryForFirmwareIsRefused(void) {
    VZEFIVariableStore *store = [[VZEFIVariableStore alloc] initCreatingVariableStoreAtURL:urlInFolder(@"store")
                                                                                   options:0
                                                                                     error:NULL];
    VZVirtualMachineConfiguration *configuration = configurationWithStore(store);
    configuration.memorySize = 63 << 20;
    CHECK_REFUSED(configuration, @"memorySize is 66060288 bytes, too little for EFI firmware.",
                  @"at least 67108864 bytes");
    configuration.memorySize = 64 << 20;
    CHECK_VALID(configuration);
    unlink(inFolder(@"store").UTF8String);
}

int main(void) {
    void (*const tests[])(void) = {
        aBootLoaderNeedsAStore,
        aStoreIsMadeOnceAndOpenedAfterwards,
        aStoreThatIsNotThereIsRefusedAtValidation,
        aMachineWithTooLittleMemoryForFirmwareIsRefused,
    };
    return runTests(tests, sizeof tests / sizeof *tests);
}

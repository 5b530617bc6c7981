// The file of the keeper (src/keeper/main.cpp), as a constant of the library; empty where there is none.
        .section .rodata
        .balign 16
        .hidden weft_keeper_image
        .globl  weft_keeper_image
weft_keeper_image:
#ifdef WEFT_KEEPER_IMAGE
        .incbin WEFT_KEEPER_IMAGE
#endif
        .hidden weft_keeper_image_end
        .globl  weft_keeper_image_end
weft_keeper_image_end:
        .byte   0

        .section .note.GNU-stack,"",%progbits
